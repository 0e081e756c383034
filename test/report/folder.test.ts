// SPDX-License-Identifier: GPL-2.0-only
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { writeReportFolder } from '../../src/cli/report-folder.ts';
import { UserError } from '../../src/errors.ts';

const files = (text: string): ReadonlyMap<string, string> =>
  new Map([
    ['index.html', text],
    ['report.json', `{\n "schema": "mmu-eras-report/1"\n}\n`],
    ['charts/a.svg', '<svg/>'],
  ]);

let base: string;
beforeEach(() => {
  base = mkdtempSync(join(tmpdir(), 'report-'));
});
afterEach(() => rmSync(base, { recursive: true }));

const page = (folder: string): string => readFileSync(join(folder, 'index.html'), 'utf8');

it('makes the folder with its parents, and nothing beside it', () => {
  writeReportFolder(join(base, 'a/b'), files('one'));
  expect(page(join(base, 'a/b'))).toBe('one');
  expect(readdirSync(join(base, 'a'))).toEqual(['b']);
});

it('replaces a report of ours, files that are gone included', () => {
  const folder = join(base, 'r');
  writeReportFolder(folder, new Map([...files('one'), ['charts/old.svg', '<svg/>']]));
  writeReportFolder(folder, files('two'));
  expect(page(folder)).toBe('two');
  expect(readdirSync(join(folder, 'charts'))).toEqual(['a.svg']);
  expect(readdirSync(base)).toEqual(['r']);
});

it('fills an empty folder, and one behind a link', () => {
  mkdirSync(join(base, 'real'));
  symlinkSync(join(base, 'real'), join(base, 'link'));
  writeReportFolder(join(base, 'link'), files('one'));
  expect(page(join(base, 'real'))).toBe('one');
  expect(readdirSync(base).sort()).toEqual(['link', 'real']);
});

it('refuses a folder with files of others, and leaves it alone', () => {
  writeFileSync(join(base, 'notes.txt'), 'mine');
  expect(() => writeReportFolder(base, files('one'))).toThrow(/notes\.txt/);
  expect(readdirSync(base)).toEqual(['notes.txt']);
});

it('refuses a report to which somebody added a file', () => {
  const folder = join(base, 'r');
  writeReportFolder(folder, files('one'));
  writeFileSync(join(folder, 'notes.txt'), 'mine');
  expect(() => writeReportFolder(folder, files('two'))).toThrow(/notes\.txt/);
  expect(page(folder)).toBe('one');
});

it('refuses a folder that has our names but no report of ours', () => {
  const folder = join(base, 'site');
  mkdirSync(folder);
  writeFileSync(join(folder, 'index.html'), 'a site');
  expect(() => writeReportFolder(folder, files('one'))).toThrow(UserError);
  expect(page(folder)).toBe('a site');
});

it('says what the disk said, and leaves nothing half-written', () => {
  writeFileSync(join(base, 'file'), '');
  expect(() => writeReportFolder(join(base, 'file'), files('one'))).toThrow(/a file, not a folder \(ENOTDIR\)/);
  expect(() => writeReportFolder(join(base, 'file/below'), files('one'))).toThrow(UserError);
  const long = new Map([...files('one'), [`charts/${'x'.repeat(300)}.svg`, '']]);
  expect(() => writeReportFolder(join(base, 'long'), long)).toThrow(/a name that is too long/);
  expect(existsSync(join(base, 'long'))).toBe(false);
  expect(readdirSync(base)).toEqual(['file']);
});
