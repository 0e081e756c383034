// SPDX-License-Identifier: GPL-2.0-only
/** The built command as a user meets it: exit codes, what goes to which stream, and mistakes without a stack trace. */
import { spawnSync } from 'node:child_process';
import { closeSync, ftruncateSync, mkdtempSync, openSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

const root = fileURLToPath(new URL('../..', import.meta.url));
const bin = join(root, 'bin', 'mmu-eras.mjs');
let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'mmu-eras-'));
});
afterAll(() => {
  rmSync(folder, { recursive: true });
});

function mmuEras(args: readonly string[], input = '') {
  const { status, stdout, stderr } = spawnSync(process.execPath, [bin, ...args], {
    cwd: root,
    input,
    encoding: 'utf8',
    maxBuffer: 1 << 28,
  });
  return { status, stdout, stderr: stderr.replaceAll(folder, '…') };
}

function file(name: string, content: string | Buffer): string {
  const path = join(folder, name);
  writeFileSync(path, content);
  return path;
}

/** A file of that many zero bytes, which takes no room on disk. */
function sparse(name: string, bytes: number): string {
  const path = join(folder, name);
  const handle = openSync(path, 'w');
  ftruncateSync(handle, bytes);
  closeSync(handle);
  return path;
}

describe('help and version', () => {
  it('lists every command', () => {
    const { status, stdout, stderr } = mmuEras(['--help']);
    expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
    for (const command of [
      'replay',
      'compare',
      'report',
      'uses',
      'conform',
      'record',
      'roles',
      'walk',
      'decode',
      'bits',
      'eras',
      'show',
      'links',
      'gen',
    ]) {
      expect(stdout).toContain(`  ${command} `);
      expect(mmuEras([command, '--help']).status).toBe(0);
    }
  });

  it('prints the version of package.json', () => {
    expect(mmuEras(['--version']).stdout).toMatch(/^\d+\.\d+\.\d+\n$/);
  });
});

describe('a mistake gets place, found, expected, suggestion, exit code 2, and no stack', () => {
  const mistakes: readonly [name: string, args: () => string[], found: string][] = [
    ['unknown command', () => ['repaly', 'wp-toggle'], 'try: mmu-eras replay'],
    ['unknown workload', () => ['replay', 'wp-togle'], 'wp-toggle'],
    ['unknown era', () => ['replay', 'wp-toggle', '--eras', 'cpu-rol'], 'cpu-role'],
    ['unknown flag', () => ['replay', 'wp-toggle', '--fast'], 'Unknown argument: fast'],
    ['unknown choice', () => ['replay', 'wp-toggle', '--mmu', 'ntp'], 'Choices: "shadow", "npt", "ept"'],
    ['missing argument', () => ['compare', 'wp-toggle', 'cpu-role'], 'compare <workload> <a> <b>'],
    ['unknown op', () => ['replay', file('op.ops', 'pt A l4\nidnet A\n')], 'op.ops:2:1'],
    ['unknown register bit', () => ['replay', file('bit.ops', 'prot32\ncr0 +WPX\n')], 'bit.ops:2:5'],
    ['cut off file', () => ['replay', file('cut.ops', 'prot32\nrepeat 3\n')], 'the file ends inside this "repeat"'],
    ['not UTF-8', () => ['replay', file('bytes.ops', Buffer.from([0x70, 0xff, 0x0a]))], 'not UTF-8'],
    [
      'an option given twice, once without its value',
      () => ['diff', 'v6.1', '--path', 'a', '--path'],
      'try: mmu-eras diff --help',
    ],
    ['a line of 1 GiB', () => ['replay', sparse('big.ops', 2 ** 30)], 'line is longer than 65536 bytes'],
    [
      'an entry without a table',
      () => ['replay', file('table.ops', 'pt A l4\nident A\nprot32\nenterlong A\npte A 0x70000000 1 pw 0x400000\n')],
      'no table for 0x70000000',
    ],
    [
      'too many tables',
      () => ['replay', file('pool.ops', `pt A l4\nident A\n${'map A 0x100000000 0 262144 4k p\n'}`)],
      'pool.ops:3',
    ],
    ['a vector file that is none', () => ['conform', file('x.json', '{}')], 'expected: a vector file'],
    ['a word that is no number', () => ['decode', '0xnope', '--era', 'cpu-role'], 'decode'],
    ['a missing file', () => ['conform', '/no/such/file.json'], 'no such file'],
  ];

  it.each(mistakes)('%s', (_name, args, found) => {
    const { status, stdout, stderr } = mmuEras(args());
    expect(stderr).toContain(found);
    expect(stderr).not.toMatch(/^ {4}at /m);
    expect({ status, stdout }).toEqual({ status: 2, stdout: '' });
  });

  it('a bad line in a batch names its number and stops', () => {
    for (const command of ['roles', 'walk']) {
      const { status, stderr } = mmuEras([command, '--batch'], 'not json\n');
      expect(stderr).toContain('stdin:1');
      expect(status).toBe(2);
    }
  });
});

describe('exit codes and streams', () => {
  it('compare: 1 when kernels differ, 0 when they do not', () => {
    expect(mmuEras(['compare', 'wp-toggle', 'root-role', 'cr0wp']).status).toBe(1);
    expect(mmuEras(['compare', 'wp-toggle', 'cr0wp', 'cr0wp']).status).toBe(0);
  });

  it('an MMU kind that an era lacks is said, not skipped', () => {
    const { status, stdout } = mmuEras([
      'replay',
      'smm',
      '--eras',
      'base-role',
      '--mmu',
      'npt',
      '--mmu-impl',
      'tdp-mmu',
    ]);
    expect(status).toBe(0);
    expect(stdout).toContain('not in this era: npt with the tdp-mmu MMU');
  });

  it('an op that an era lacks is said in every format', () => {
    for (const format of ['text', 'json', 'jsonl', 'csv', 'md']) {
      const { stdout } = mmuEras(['replay', 'smm', '--eras', 'base-role', '--mmu', 'shadow', '--format', format]);
      expect(stdout).toContain('smm');
      expect(stdout).toMatch(/not in this era|notInEra/);
    }
  });

  it('the same input gives the same bytes', () => {
    const once = mmuEras(['replay', 'mix-a', '--mmu', 'shadow', '--format', 'json']).stdout;
    expect(mmuEras(['replay', 'mix-a', '--mmu', 'shadow', '--format', 'json']).stdout).toBe(once);
  });

  it('a generated file appears whole or not at all', () => {
    const target = join(folder, 'none', 'x.ops');
    const { status, stderr } = mmuEras(['gen', 'toggle_cr0_wp', '-o', target]);
    expect(status).toBe(2);
    expect(stderr).toContain('x.ops');
    expect(readdirSync(folder).filter((name) => name.includes('.tmp'))).toEqual([]);
  });
});
