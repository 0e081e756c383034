// SPDX-License-Identifier: GPL-2.0-only
import { ACCESS, RIGHTS } from './paging-bits.ts';

/** Why a translation stopped, in the order in which the manual's rules are tried. */
export const CAUSE = { NONE: 0, NP: 1, RSVD: 2, US: 3, NX: 4, SMEP: 5, SMAP: 6, WP: 7, PK: 8 } as const;
/** Names of the causes, by value. */
export const causeNames = ['none', 'NP', 'RSVD', 'US', 'NX', 'SMEP', 'SMAP', 'WP', 'PK'] as const;

/** What decides over accesses beside the rights of the translation. SDM vol. 3A 4.6.1. */
export interface AccessControls {
  /** CR0.WP: supervisor writes need the write right too. */
  readonly wp: boolean;
  /** CR4.SMEP: supervisor mode does not execute user pages. */
  readonly smep: boolean;
  /** CR4.SMAP and not RFLAGS.AC: supervisor mode does not touch user pages. */
  readonly smap: boolean;
}

/** Index into a rule table: the access (ACCESS bits) and the rights (RIGHTS bits) that the translation gives. */
export const ruleIndex = (access: number, rights: number): number => access * 8 + rights;

const RULES = ruleIndex(ACCESS.FETCH | ACCESS.USER, RIGHTS.ALL) + 1;

/**
 * The rule table for the controls: CAUSE by `ruleIndex(access, rights)`, NONE where the access is allowed. Protection keys
 * come on top. Eight tables exist, made once; a change of CR0.WP or RFLAGS.AC picks another one.
 */
export function rulesFor({ wp, smep, smap }: AccessControls): Uint8Array {
  return tables[Number(wp) | (Number(smep) << 1) | (Number(smap) << 2)]!;
}

const tables = Array.from({ length: 8 }, (_, i) =>
  ruleTable({ wp: (i & 1) !== 0, smep: (i & 2) !== 0, smap: (i & 4) !== 0 }),
);

function ruleTable(controls: AccessControls): Uint8Array {
  const table = new Uint8Array(RULES);
  for (const kind of [ACCESS.READ, ACCESS.WRITE, ACCESS.FETCH]) {
    for (const mode of [0, ACCESS.USER]) {
      for (let rights = 0; rights <= RIGHTS.ALL; rights++) {
        table[ruleIndex(kind | mode, rights)] = causeOf(kind | mode, rights, controls);
      }
    }
  }
  return table;
}

function causeOf(access: number, rights: number, { wp, smep, smap }: AccessControls): number {
  const user = (access & ACCESS.USER) !== 0;
  const fetch = (access & ACCESS.FETCH) !== 0;
  const userPage = (rights & RIGHTS.U) !== 0;
  if (user && !userPage) return CAUSE.US;
  if (fetch && !(rights & RIGHTS.X)) return CAUSE.NX;
  if (fetch && !user && userPage && smep) return CAUSE.SMEP;
  if (!fetch && !user && userPage && smap) return CAUSE.SMAP;
  if (access & ACCESS.WRITE && !(rights & RIGHTS.W) && (user || wp)) return CAUSE.WP;
  return CAUSE.NONE;
}

/**
 * EPT's rules (SDM vol. 3C 29.3.3) in the same form: the user right stands for "readable", data accesses need it, a write
 * also needs the write right, and a fetch needs the execute right alone.
 */
export const eptRules: Uint8Array = Uint8Array.from({ length: RULES }, (_, i) => {
  const access = i >> 3;
  if (access & ACCESS.FETCH) return i & RIGHTS.X ? CAUSE.NONE : CAUSE.NX;
  if (!(i & RIGHTS.U)) return CAUSE.US;
  return access & ACCESS.WRITE && !(i & RIGHTS.W) ? CAUSE.WP : CAUSE.NONE;
});
