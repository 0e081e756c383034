// SPDX-License-Identifier: GPL-2.0-only
import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';

const root = fileURLToPath(new URL('../..', import.meta.url));
const run = (args: string[], input: string) =>
  spawnSync(process.execPath, ['--import', 'tsx', 'src/cli/main.ts', 'walk', ...args], {
    cwd: root,
    input,
    encoding: 'utf8',
  });

/** A user write to a page that its PTE makes read-only, with CR0.WP clear; the PDE allows all and was not used before. */
const record = {
  ...{ id: 'one', mode: '32bit', cat: 'rights', cr0_wp: 0, cr4_pse: 0, cr4_smep: 0, cr4_smap: 0, eflags_ac: 0 },
  ...{ efer_nxe: 0, cr4_pke: 0, pkru: '0x0', maxphyaddr: 40, cr3: '0x1000', gva: '0x403abc', access: 'w', user: 1 },
  entries: [
    { level: 2, addr: '0x1004', before: '0x2007' },
    { level: 1, addr: '0x200c', before: '0x5005' },
  ],
};

describe('mmu-eras walk', () => {
  it('answers records line by line, in order', () => {
    const supervisor = { ...record, id: 'two', user: 0 };
    const { stdout, status, stderr } = run(['--batch'], `${JSON.stringify(record)}\n\n${JSON.stringify(supervisor)}\n`);
    expect([status, stderr]).toEqual([0, '']);
    const [first, second] = stdout
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line));
    const [pde, pte] = record.entries;
    // P, W and U of SDM vol. 3A 4.7: 1 + 2 + 4. The PDE was passed, so it is accessed; the PTE refused.
    expect(first).toEqual({
      ...record,
      entries: [
        { ...pde, after: '0x2027' },
        { ...pte, after: '0x5005' },
      ],
      result: { fault: 'PF', error_code: 7, cr2: '0x403abc', cause: 'WP' },
      ad_on_fault: 1,
    });
    expect(second).toEqual({
      ...supervisor,
      entries: [
        { ...pde, after: '0x2027' },
        { ...pte, after: '0x5065' },
      ],
      result: { fault: null, gpa: '0x5abc' },
    });
  });

  it('stops at a line that it does not understand, names it, and exits with 2', () => {
    const { stdout, status, stderr } = run([], `${JSON.stringify(record)}\n{"id":"bad"}\n`);
    expect(status).toBe(2);
    expect(stdout.trimEnd().split('\n')).toHaveLength(1);
    expect(stderr).toMatch(/^stdin:2: no "mode"/);
  });

  it('tells of a file that is not there', () => {
    const { status, stderr } = run(['no-such.jsonl'], '');
    expect([status, stderr.split('\n')[0]]).toEqual([2, 'no-such.jsonl: no file that can be read']);
  });
});
