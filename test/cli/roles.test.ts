// SPDX-License-Identifier: GPL-2.0-only
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, describe, expect, test } from 'vitest';
import { rolesCommand } from '../../src/cli/roles.ts';
import { readVectorText } from '../../src/conform/file.ts';
import { parseVectorFile } from '../../src/conform/format.ts';
import type { VectorRow } from '../../src/era.ts';
import { UserError } from '../../src/errors.ts';
import { runCommand } from './capture.ts';

const folder = mkdtempSync(join(tmpdir(), 'mmu-eras-roles-'));
afterAll(() => rmSync(folder, { recursive: true }));

function fileOf(lines: readonly string[]): string {
  const path = join(folder, 'rows.jsonl');
  writeFileSync(path, `${lines.join('\n')}\n`);
  return path;
}

/** Every 500th row of a vector file's first section. */
function sample(file: string) {
  const path = fileURLToPath(new URL(`../vectors/${file}`, import.meta.url));
  const section = parseVectorFile(path, readVectorText(path)).sections[0]!;
  if (section.kind !== 'rows') throw new Error(`${file} has no rows`);
  return section.rows.filter((_row, i) => i % 500 === 0);
}

const answers = async (rows: readonly VectorRow[]): Promise<VectorRow[]> => {
  const { stdout, code } = await runCommand(rolesCommand, ['--batch', fileOf(rows.map((row) => JSON.stringify(row)))]);
  expect(code).toBe(0);
  return stdout
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line) as VectorRow);
};

describe('roles', () => {
  test('eras by commit, id and release, line after line in their order', async () => {
    const files = ['e5ed0fb0-roles.json.gz', '01b31714-roles.json.gz', 'v5.17-roles.json.gz'];
    const names = ['e5ed0fb0', 'cr0wp', 'v5.17'];
    const cases = files.flatMap((file, i) =>
      sample(file).map(({ input, expected }) => ({ input: { ...input, era: names[i]! }, expected })),
    );
    const got = await answers(cases.map(({ input }) => input));
    expect(got).toEqual(cases.map(({ input, expected }) => ({ ...input, ...expected })));
  });

  test('another section than roles by name', async () => {
    const cases = sample('e5ed0fb0-child-roles.json').map(({ input, expected }) => ({
      input: { era: 'cpu-role', section: 'child-roles', ...input },
      expected,
    }));
    const got = await answers(cases.map(({ input }) => input));
    expect(got).toEqual(cases.map(({ input, expected }) => ({ ...input, ...expected })));
  });

  test('a mistake names file and line, and comes after the answers before it', async () => {
    const row = { era: 'cpu-role', ...sample('e5ed0fb0-roles.json.gz')[0]!.input };
    const run = (second: VectorRow) =>
      runCommand(rolesCommand, [fileOf([JSON.stringify(row), JSON.stringify(second)])]);
    await expect(run({ ...row, smm: 2 })).rejects.toThrow(/rows\.jsonl:2: column smm is 2/);
    await expect(run({ ...row, era: 'cpu-rule' })).rejects.toThrow(/rows\.jsonl:2: era: unknown era "cpu-rule"/);
    await expect(run({ ...row, era: 'cpu-rule' })).rejects.toThrow(UserError);
  });

  test('a file that is not there', async () => {
    await expect(runCommand(rolesCommand, [join(folder, 'none.jsonl')])).rejects.toThrow(UserError);
  });
});
