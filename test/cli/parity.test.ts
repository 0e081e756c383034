// SPDX-License-Identifier: GPL-2.0-only
import { mkdirSync, mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { UserError } from '../../src/errors.ts';
import { gatherParity } from '../../src/parity/model.ts';
import { findRecordings } from '../../src/parity/recording.ts';
import { parityJson, parityMarkdown, parityText } from '../../src/report/parity.ts';
import { recordingsFolder } from '../parity/recordings.ts';

const file = join(recordingsFolder, '6.1.0-56-amd64', 'npt', 'wp-toggle.truth.json.gz');
const against = (era: string | null) => gatherParity(findRecordings([file]), { era, ops: null });

describe('one recording', () => {
  test('against the era of its release is exact, in every form', () => {
    const model = against(null);
    expect(parityText(model)).toContain('exact (185)');
    expect(parityMarkdown(model)).toContain('| 6.1.0-56-amd64 | npt | 1 | 100.00 % |');
    const { runs } = JSON.parse(parityJson(model));
    expect(runs).toHaveLength(1);
    expect(runs[0]).toMatchObject({ release: '6.1.0-56-amd64', mode: 'npt', workload: 'wp-toggle', era: 'v6.1' });
    expect(runs[0].groups.A).toEqual({ exact: 185, compared: 185, differences: [] });
  });

  test('against an era that frees every root at a CR0.WP toggle differs, and says where first', () => {
    const model = against('root-role');
    const { differences } = model.runs[0]!.groups.A;
    // 542 toggles of 544 CR0 writes change WP alone; 6.1.192 loads a root four times in all (its setup).
    expect(differences.find(({ field }) => field === 'mmu_load')).toEqual({
      field: 'mmu_load',
      phase: 'total',
      expected: 4,
      got: 546,
    });
    expect(parityText(model)).toMatch(/differs \(\d+ of 185\): mmu_load in total: expected 4, got 546/);
  });
});

describe('mistakes', () => {
  const folder = (): string => mkdtempSync(join(tmpdir(), 'parity-'));

  test('a folder without recordings', () => {
    expect(() => findRecordings([folder()])).toThrow(UserError);
  });

  test('a recording of a kernel that nobody knows', () => {
    const at = join(folder(), '9.9.9', 'npt');
    mkdirSync(at, { recursive: true });
    writeFileSync(join(at, 'run-info.txt'), 'guest_cpuid: pcid=0 maxphyaddr=40\n');
    const truth = { total: {}, phases: {}, entry_states: [], role_words: {} };
    writeFileSync(join(at, 'wp-toggle.truth.json'), JSON.stringify(truth));
    expect(() => gatherParity(findRecordings([at]), { era: null, ops: null })).toThrow(/9\.9\.9.*--era ID/s);
  });

  test('a recording of a workload that is not bundled', () => {
    const at = join(folder(), '6.1.0-56-amd64', 'npt');
    mkdirSync(at, { recursive: true });
    writeFileSync(join(at, 'run-info.txt'), 'guest_cpuid: pcid=0 maxphyaddr=40\n');
    const truth = { total: {}, phases: {}, entry_states: [], role_words: {} };
    writeFileSync(join(at, 'elsewhere.truth.json'), JSON.stringify(truth));
    expect(() => gatherParity(findRecordings([at]), { era: null, ops: null })).toThrow(/elsewhere\.ops.*--ops/s);
  });

  test('a file that is not JSON', () => {
    const at = join(folder(), '6.1.0-56-amd64', 'npt');
    mkdirSync(at, { recursive: true });
    writeFileSync(join(at, 'run-info.txt'), 'guest_cpuid: pcid=0 maxphyaddr=40\n');
    writeFileSync(join(at, 'wp-toggle.truth.json'), '{');
    expect(() => findRecordings([at])).toThrow(UserError);
  });
});
