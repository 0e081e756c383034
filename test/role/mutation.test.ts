// SPDX-License-Identifier: GPL-2.0-only
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { readVectorText } from '../../src/conform/file.ts';
import { parseVectorFile, type Row } from '../../src/conform/format.ts';
import { same } from '../../src/conform/run.ts';
import type { VectorRow, VectorSurface } from '../../src/era.ts';

/** The role vectors must notice a wrong layout: swap two neighbouring fields, and some row disagrees. */

const vectors = fileURLToPath(new URL('../vectors', import.meta.url));

function rowsOf(file: string): { readonly name: string; readonly rows: readonly Row[]; readonly context: VectorRow } {
  const path = join(vectors, file);
  const { sections, context } = parseVectorFile(path, readVectorText(path));
  const section = sections[0]!;
  if (section.kind !== 'rows') throw new Error(`${file} has no rows`);
  // One row in 23 is plenty: a layout that is wrong is wrong nearly everywhere.
  return { name: section.name, rows: section.rows.filter((_row, i) => i % 23 === 0), context };
}

type Declarations = Parameters<typeof import('../../src/role/layout.ts').layout>[1];

/** The port's role sections, with its `nth` layout declared with fields `at` and `at + 1` swapped. */
async function mutated(folder: string, nth: number, at: number): Promise<VectorSurface['rows']> {
  vi.resetModules();
  let seen = 0;
  vi.doMock('../../src/role/layout.ts', async (original) => {
    const real = await original<typeof import('../../src/role/layout.ts')>();
    const layout = (bits: 32, declarations: Declarations) => {
      const changed = [...declarations];
      if (seen++ === nth) [changed[at], changed[at + 1]] = [changed[at + 1]!, changed[at]!];
      return real.layout(bits, changed);
    };
    return { ...real, layout };
  });
  const { rolesRows } = (await import(`../../snapshots/${folder}/vectors_roles.ts`)) as {
    rolesRows: VectorSurface['rows'];
  };
  return rolesRows;
}

/** Whether a row has its expected columns; a port that throws does not agree. */
function agrees(answer: () => VectorRow, expected: VectorRow): boolean {
  try {
    const got = answer();
    return Object.entries(expected).every(([column, value]) => same(got[column], value));
  } catch {
    return false;
  }
}

/** The two pairs of layouts that the modern eras have. */
const subjects = [
  { folder: '2022-04-cpu-role', files: ['e5ed0fb0-roles.json.gz', 'e5ed0fb0-child-roles.json'] },
  { folder: '2023-03-cr0wp', files: ['01b31714-roles.json.gz', '01b31714-child-roles.json'] },
];

afterEach(() => {
  vi.doUnmock('../../src/role/layout.ts');
  vi.resetModules();
});

describe.each(subjects)('$folder', ({ folder, files }) => {
  const sections = files.map(rowsOf);
  const failures = (rows: VectorSurface['rows']): number => {
    let failed = 0;
    for (const { name, rows: cases, context } of sections) {
      for (const { input, expected } of cases) {
        if (!agrees(() => rows[name]!(input, context), expected)) failed++;
      }
    }
    return failed;
  };

  it('agrees as it is', async () => {
    expect(failures(await mutated(folder, -1, 0))).toBe(0);
  });

  it.each(['page', 'extended'].map((union, nth) => ({ union, nth })))(
    '$union role',
    async ({ nth }) => {
      const role = (await import(`../../snapshots/${folder}/role.ts`)) as {
        kvm_mmu_page_role: { fields: readonly { name: string }[] };
        kvm_mmu_extended_role: { fields: readonly { name: string }[] };
      };
      const { fields } = nth === 0 ? role.kvm_mmu_page_role : role.kvm_mmu_extended_role;
      const unnoticed: string[] = [];
      for (let at = 0; at + 1 < fields.length; at++) {
        const failed = failures(await mutated(folder, nth, at));
        if (failed === 0) unnoticed.push(`${fields[at]!.name} and ${fields[at + 1]!.name}`);
      }
      expect(unnoticed).toEqual([]);
    },
    60_000,
  );
});
