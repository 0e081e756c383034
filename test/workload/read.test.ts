// SPDX-License-Identifier: GPL-2.0-only
import { closeSync, ftruncateSync, mkdtempSync, openSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { readLines, readOpsFile } from '../../src/workload/read.ts';

let folder = '';
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'mmu-eras-'));
});
afterAll(() => rmSync(folder, { recursive: true }));

/** A file with these bytes. */
function file(bytes: string | Buffer): string {
  const path = join(folder, 'w.ops');
  writeFileSync(path, bytes);
  return path;
}

test('lines across the pieces it reads, multi-byte characters included', () => {
  const lines = Array.from({ length: 5000 }, (_, i) => `# ${'é'.repeat(i % 50)} ${i}`);
  expect(readLines(file(lines.join('\n')))).toEqual(lines);
  expect(readLines(file('a\n\nb\n'))).toEqual(['a', '', 'b']);
  expect(readLines(file('\ufeffa\n\ufeffb'))).toEqual(['a', '\ufeffb']);
  expect(readLines(file(''))).toEqual([]);
});

test('a workload from a file is named after it', () => {
  expect(readOpsFile(file('# t\nprot32\n'))).toEqual({ name: 'w', title: 't', ops: [{ op: 'prot32', line: 2 }] });
});

test('bytes that are not UTF-8', () => {
  const bytes = Buffer.concat([Buffer.from('prot32\nph\u00e9 '), Buffer.from([0xff, 0x41])]);
  expect(() => readOpsFile(file(bytes), 'w.ops')).toThrow(
    ['w.ops:2:5: not UTF-8: byte 0xff', '    phé \ufffdA', '        ^', '  expected: a text file in UTF-8'].join('\n'),
  );
});

test('a line of 1 GiB is refused after its first 64 KiB', () => {
  const path = file('prot32\n# ');
  // The rest is a hole in the file: zeros that take no room on disk.
  const handle = openSync(path, 'r+');
  ftruncateSync(handle, 2 ** 30);
  closeSync(handle);
  const before = process.memoryUsage().rss;
  expect(() => readOpsFile(path, 'w.ops')).toThrow(
    'w.ops:2:65537: line is longer than 65536 bytes\n  expected: a text file with one op a line',
  );
  expect(process.memoryUsage().rss - before).toBeLessThan(64 * 2 ** 20);
  truncateSync(path);
});

test('a file of more lines than any workload has', () => {
  expect(() => readOpsFile(file(Buffer.alloc(17 * 2 ** 20, 10)), 'w.ops')).toThrow('w.ops: more than 16777216 bytes');
});

test('a binary file, a folder, no file', () => {
  expect(() => readOpsFile(file(Buffer.alloc(100)), 'w.ops')).toThrow('w.ops:1:1: a NUL byte');
  expect(() => readOpsFile(folder, 'dir')).toThrow('dir: this is a folder');
  expect(() => readOpsFile(join(folder, 'none'), 'none.ops')).toThrow('none.ops: no such file');
});
