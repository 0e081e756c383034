// SPDX-License-Identifier: GPL-2.0-only
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { releaseOf } from '../../src/parity/releases.ts';
import { resolvePort } from '../../src/replay/every-port.ts';
import type { Layout } from '../../src/role/layout.ts';
import { recordingsFolder } from './recordings.ts';

/** Bit-fields of the one anonymous struct in a union, as the kernel's type information declares it: name, shift, width. */
function declared(union: string): [name: string, shift: number, width: number][] {
  const body = /struct \{([\s\S]*?)\};/.exec(union)?.[1] ?? '';
  const fields: [string, number, number][] = [];
  let shift = 0;
  for (const [, name, bits] of body.matchAll(/^\s*(?:unsigned int|char|u32|int)\s*(\w*)\s*:\s*(\d+);/gm)) {
    if (name) fields.push([name, shift, Number(bits)]);
    shift += Number(bits);
  }
  return fields;
}

const ours = (layout: Layout): [string, number, number][] =>
  layout.fields.filter(({ pad }) => !pad).map(({ name, shift, width }) => [name, shift, width]);

describe.each(readdirSync(recordingsFolder))('%s', (release) => {
  const { layouts } = JSON.parse(readFileSync(join(recordingsFolder, release, 'abi.json'), 'utf8')) as {
    layouts: Record<string, string>;
  };
  const era = resolvePort(releaseOf(release).era);

  test('the page role is laid out as in the kernel', () => {
    // A later kernel of the same era may name a bit that is always 0 in a guest without TDX.
    const theirs = declared(layouts['union kvm_mmu_page_role']!).filter(([name]) => name !== 'is_mirror');
    expect(ours(era.layouts.page).filter(([name]) => name !== 'is_mirror')).toEqual(theirs);
  });

  test('the extended role is laid out as in the kernel', () => {
    expect(era.layouts.extended && ours(era.layouts.extended)).toEqual(declared(layouts['union kvm_mmu_extended_role']!));
  });
});
