// SPDX-License-Identifier: GPL-2.0-only
import { UserError } from '../errors.ts';
import type { GuestCpuid } from '../sim/host.ts';

/** What a recording says about its machine. */
export interface RunInfo {
  /** What the virtual CPU offered to the guest. */
  readonly cpuid: Partial<GuestCpuid>;
  /** Module parameters, `kvm.tdp_mmu` → `Y`. */
  readonly parameters: ReadonlyMap<string, string>;
  /** The CPU below was a 5-level one, on which the host itself runs five levels. */
  readonly hostLa57: boolean;
}

/** CPUID facts by their name in the `guest_cpuid` line. */
const flags = { pcid: 'pcid', invpcid: 'invpcid', smep: 'smep', smap: 'smap', pku: 'pku', la57: 'la57' } as const;

/** Reads run-info.txt: `name=value` lines, of which `guest_cpuid:` holds several. */
export function parseRunInfo(text: string, place: string): RunInfo {
  const parameters = new Map<string, string>();
  let cpuid: Partial<GuestCpuid> | null = null;
  for (const line of text.split('\n')) {
    if (line.startsWith('guest_cpuid:')) cpuid = parseCpuid(line);
    else {
      const match = /^([\w.]+)=(.*)$/.exec(line);
      if (match) parameters.set(match[1]!, match[2]!);
    }
  }
  if (cpuid === null)
    throw new UserError({ place, found: 'no line "guest_cpuid:"', expected: 'run-info.txt of a recording' });
  return { cpuid, parameters, hostLa57: cpuid.la57 === true };
}

function parseCpuid(line: string): Partial<GuestCpuid> {
  const values = new Map([...line.matchAll(/(\w+)=(\w+)/g)].map(([, name, value]) => [name!, value!]));
  const cpuid: { -readonly [K in keyof GuestCpuid]?: GuestCpuid[K] } = {};
  for (const [name, key] of Object.entries(flags)) if (values.has(name)) cpuid[key] = values.get(name) === '1';
  if (values.has('gbpages')) cpuid.gbPages = values.get('gbpages') === '1';
  if (values.has('maxphyaddr')) cpuid.maxPhyAddr = Number(values.get('maxphyaddr'));
  return cpuid;
}
