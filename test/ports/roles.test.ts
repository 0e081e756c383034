// SPDX-License-Identifier: GPL-2.0-only
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { readVectorText } from '../../src/conform/file.ts';
import { parseVectorFile, type Row } from '../../src/conform/format.ts';
import { same } from '../../src/conform/run.ts';
import type { VectorRow, VectorSurface } from '../../src/era.ts';

/**
 * Role vectors against ports that a file does not name but is known to hold for (test/conform has those that it names): the
 * child roles and permission rules of cpu-role did not change around it, and the proposed series changes no role function
 * of v5.17.
 */

const folder = fileURLToPath(new URL('../vectors', import.meta.url));

function read(file: string): { readonly name: string; readonly rows: readonly Row[]; readonly context: VectorRow } {
  const path = join(folder, file);
  const { sections, context } = parseVectorFile(path, readVectorText(path));
  const section = sections[0]!;
  if (section.kind !== 'rows') throw new Error(`${file} has no rows`);
  return { name: section.name, rows: section.rows, context };
}

const child = 'e5ed0fb0-child-roles.json';
const permission = 'e5ed0fb0-permission-fault.json';
const subjects: readonly (readonly [port: string, ...files: string[]])[] = [
  ['2022-02-v5.17', permission],
  ['2022-02-no-unload-v2', 'v5.17-child-roles.json', permission],
  ['2022-04-cpu-role-parent', child, permission],
  ['2022-04-root-role', child, permission],
  ['2023-03-cr0wp', permission],
];

async function rowsOf(port: string): Promise<VectorSurface['rows']> {
  const { rolesRows } = (await import(`../../snapshots/${port}/vectors_roles.ts`)) as {
    rolesRows: VectorSurface['rows'];
  };
  return rolesRows;
}

/** Columns of one row on which the port and the real code disagree. */
const differing = (answer: VectorRow, expected: VectorRow): string[] =>
  Object.keys(expected).filter((column) => !same(answer[column], expected[column]));

describe('role vectors', () => {
  it.each(subjects.flatMap(([port, ...files]) => files.map((file) => ({ port, file }))))(
    '$port $file',
    async ({ port, file }) => {
      const rows = await rowsOf(port);
      const { name, rows: cases, context } = read(file);
      const wrong = cases.filter(({ input, expected }) => differing(rows[name]!(input, context), expected).length > 0);
      expect(cases.length).toBeGreaterThan(800);
      expect(wrong).toEqual([]);
    },
  );

  it('no-unload-v2 has the roles of v5.17, and looks cached roots up under the stored role', async () => {
    const rows = await rowsOf('2022-02-no-unload-v2');
    const { rows: cases, context } = read('v5.17-roles.json.gz');
    let corrected = 0;
    for (const { input, expected } of cases) {
      const answer = rows.roles!(input, context);
      const lookup = expected.lookup_role === null ? null : expected.root_role!;
      expect(differing(answer, { ...expected, lookup_role: lookup })).toEqual([]);
      if (expected.lookup_role !== lookup) corrected++;
    }
    // Shadow paging with CR0.WP 0 and SMEP or SMAP: there v5.17 asks for a role that it never stores.
    expect(corrected).toBeGreaterThan(0);
    for (const { input, expected } of cases) {
      if (expected.lookup_role === null || expected.lookup_role === expected.root_role) continue;
      expect(input).toMatchObject({ kind: 'root_shadow', cr0_pg: 1, cr0_wp: 0 });
      expect(Number(input.cr4_smep) + Number(input.cr4_smap)).toBeGreaterThan(0);
    }
  });
});

describe('columns that are no input are refused', () => {
  const { rows, context } = read('e5ed0fb0-roles.json.gz');
  const { input } = rows[0]!;
  it.each([
    [{ cr0_wp: 2 }, 'column cr0_wp is 2, expected a whole number from 0 to 1'],
    [{ maxphyaddr: 64 }, 'column maxphyaddr is 64, expected a whole number from 32 to 52'],
    [{ host: 'ept4' }, 'column host is "ept4", expected an object'],
    [{ host: { ...(input.host as VectorRow), tdp: 'slat' } }, 'column host.tdp is "slat", expected none, npt or ept'],
    [{ kind: 'root' }, 'column kind is "root", expected one of root_tdp, root_shadow'],
    [{ kind: 'root_shadow' }, 'column kind is "root_shadow", which a host with tdp ept lacks'],
  ] satisfies [VectorRow, string][])('%j', async (change, message) => {
    const { roles } = await rowsOf('2022-04-cpu-role');
    expect(() => roles!({ ...input, ...change }, context)).toThrow(message);
  });
});
