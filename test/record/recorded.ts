// SPDX-License-Identifier: GPL-2.0-only
import { readFileSync } from 'node:fs';
import { gunzipSync } from 'node:zlib';
import type { Abi, RoleField } from '../../src/record/kernel/abi.ts';

const recordings = new URL('../parity/recordings/', import.meta.url);

/** abi.json of a recorded kernel, which another program wrote. */
export function recordedAbi(release: string): Abi {
  const { offsets, layouts } = JSON.parse(readFileSync(new URL(`${release}/abi.json`, recordings), 'utf8')) as Pick<
    Abi,
    'offsets' | 'layouts'
  >;
  return {
    offsets,
    layouts,
    base: fieldsIn(layouts['union kvm_mmu_page_role']),
    extended: fieldsIn(layouts['union kvm_mmu_extended_role']),
  };
}

/** The bit-fields of a declaration, counted from its text. */
function fieldsIn(union = ''): RoleField[] {
  const fields: RoleField[] = [];
  let shift = 0;
  for (const [, name, bits] of union.matchAll(/^\t\t(?:unsigned int|char|u32|int)\s*(\w*)\s*:\s*(\d+);/gm)) {
    if (name) fields.push({ name, shift, width: Number(bits) });
    shift += Number(bits);
  }
  return fields;
}

/** The counts of a recorded run that the comparison with the model uses. */
export interface RecordedTruth {
  readonly total: Record<string, unknown>;
  readonly phases: Record<string, Record<string, unknown>>;
  readonly role_words: Record<string, unknown>;
  readonly entry_states: readonly unknown[];
}

export const recordedTruth = (run: string): RecordedTruth =>
  JSON.parse(gunzipSync(readFileSync(new URL(`${run}.truth.json.gz`, recordings))).toString('utf8')) as RecordedTruth;

/** Raw text of a recorded trace. */
export const recordedTrace = (file: string): string =>
  gunzipSync(readFileSync(new URL(`traces/${file}`, import.meta.url))).toString('latin1');
