// SPDX-License-Identifier: GPL-2.0-only
/** Traces through the commands: gen, replay, convert. */
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { compareCommand } from '../../src/cli/compare.ts';
import { convertCommand } from '../../src/cli/convert.ts';
import { genCommand } from '../../src/cli/gen.ts';
import { recordCommand } from '../../src/cli/record.ts';
import { replayCommand } from '../../src/cli/replay.ts';
import { reportCommand } from '../../src/cli/report.ts';
import { usesCommand } from '../../src/cli/uses.ts';
import { tracePresets } from '../../src/trace/generate/presets.ts';
import { runCommand } from './capture.ts';

let folder = '';
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'mmu-eras-'));
});
afterAll(() => rmSync(folder, { recursive: true }));

/** What a command writes to standard error. */
async function talkOf(run: () => Promise<unknown>): Promise<string> {
  let talk = '';
  const write = vi.spyOn(process.stderr, 'write').mockImplementation((chunk) => {
    talk += String(chunk);
    return true;
  });
  await run().finally(() => write.mockRestore());
  return talk;
}

async function generated(name: string): Promise<string> {
  const path = join(folder, name);
  await runCommand(genCommand, ['shadow-wp', '--events', '70000', '--pages', '64', '--seed', '5', '-o', path]);
  return path;
}

test('gen lists the named traces, and needs a file for one', async () => {
  const { stdout } = await runCommand(genCommand, []);
  for (const name of Object.keys(tracePresets)) expect(stdout).toMatch(new RegExp(`^ {2}${name} +events=`, 'm'));
  await expect(runCommand(genCommand, ['walk-1g'])).rejects.toThrow(
    /no file to write[\s\S]*try: mmu-eras gen walk-1g -o walk-1g\.mmut/,
  );
  await expect(runCommand(genCommand, ['walk-1h'])).rejects.toThrow(/no such generator[\s\S]*try: walk-1g/);
  await expect(runCommand(genCommand, ['walk-2m', '--pages', '7', '-o', join(folder, 'x.mmut')])).rejects.toThrow(
    'gen walk-2m: pages=7\n  expected: a multiple of 512',
  );
  expect(readdirSync(folder)).toEqual([]);
});

test('the same options give the same bytes, and a replay of the file is that of the generator', async () => {
  const path = await generated('a.mmut');
  expect(readFileSync(await generated('b.mmut'))).toEqual(readFileSync(path));
  const options = ['--era', 'cpu-role,v6.1', '--mmu', 'npt', '--format', 'json'];
  const fromFile = await runCommand(replayCommand, [path, ...options]);
  const direct = await runCommand(replayCommand, ['gen:shadow-wp?events=70000&pages=64&seed=5', ...options]);
  expect(JSON.parse(fromFile.stdout)).toEqual(JSON.parse(direct.stdout));
  expect(JSON.parse(fromFile.stdout).results).toMatchObject([
    { workload: 'shadow-wp', era: 'cpu-role', mode: 'npt', executed: 70000 },
    { workload: 'shadow-wp', era: 'v6.1', mode: 'npt', executed: 70000 },
  ]);
});

test('a file that is cut off is refused, and salvaged when asked for', async () => {
  const whole = readFileSync(await generated('whole.mmut'));
  const path = join(folder, 'cut.mmut');
  writeFileSync(path, whole.subarray(0, whole.length - 200));
  const options = [path, '--era', 'v6.1', '--format', 'jsonl'];
  await expect(runCommand(replayCommand, options)).rejects.toThrow(
    /cut\.mmut: chunk 1: the file ends here.*Chunks 0 to 0, 65536 events/,
  );
  let stdout = '';
  const talk = await talkOf(async () => {
    ({ stdout } = await runCommand(replayCommand, [...options, '--salvage']));
  });
  expect(JSON.parse(stdout)).toMatchObject({ workload: 'shadow-wp, its first 65536 events', executed: 65536 });
  expect(talk).toMatch(/chunk 1: the file ends here[\s\S]*only what is whole/);
});

test('convert says on standard error what is different, and refuses what it does not know', async () => {
  const path = join(folder, 'toggle.mmut');
  const talk = await talkOf(() => runCommand(convertCommand, ['gen:toggle_cr0_wp?iterations=3', path]));
  expect(talk).toBe("the guest's own code is left out, as in every trace: fetches, stack, loop counters\n");
  await runCommand(convertCommand, [path, join(folder, 'toggle.jsonl'), '--from', '0', '--count', '4']);
  expect(readFileSync(join(folder, 'toggle.jsonl'), 'utf8').trimEnd().split('\n')).toHaveLength(5);
  await expect(runCommand(convertCommand, [path, 'toggle.txt'])).rejects.toThrow(
    'toggle.txt: a name that tells no form',
  );
  await expect(runCommand(convertCommand, [path, 'x.ops', '--from', '1.5'])).rejects.toThrow('convert --from: 1.5');
  await expect(runCommand(convertCommand, ['no.mmut', 'x.ops'])).rejects.toThrow('no.mmut: no such file');
});

test('the JSONL example of docs/traces.md is a trace that runs', async () => {
  const docs = readFileSync(new URL('../../docs/traces.md', import.meta.url), 'utf8');
  const [, example] = /```jsonl\n([\s\S]+?)```/.exec(docs)!;
  const path = join(folder, 'example.jsonl');
  writeFileSync(path, example!);
  await runCommand(convertCommand, [path, join(folder, 'example.mmut')]);
  const { stdout } = await runCommand(replayCommand, [
    join(folder, 'example.mmut'),
    '--eras',
    'v7.3',
    '--format',
    'json',
  ]);
  expect(JSON.parse(stdout).results).toMatchObject([{ workload: 'small', executed: 6, stopped: null }]);
  await runCommand(convertCommand, [join(folder, 'example.mmut'), join(folder, 'again.jsonl')]);
  expect(readFileSync(join(folder, 'again.jsonl'), 'utf8')).toBe(example);
});

test('two eras are compared on a trace as on a workload', async () => {
  const { stdout, code } = await runCommand(compareCommand, [
    'gen:twod-wp?events=2000',
    'v5.17',
    'cr0wp',
    '--format',
    'json',
  ]);
  expect(code).toBe(1);
  const { ofTrace, steps, reloads } = JSON.parse(stdout);
  expect({ ofTrace, steps }).toEqual({ ofTrace: true, steps: [] });
  // Two thousand events have 95 toggles; each takes the root away in v5.17, and none later.
  expect(reloads).toEqual([{ by: 'kvm_post_set_cr0', bits: 'CR0.WP', a: 95, b: 0 }]);
});

test('what takes no traces says so', async () => {
  for (const [command, args] of [
    [reportCommand, ['x.mmut', '-o', join(folder, 'report')]],
    [usesCommand, ['x.mmut']],
    [recordCommand, ['x.mmut', '-o', join(folder, 'rec')]],
  ] as const) {
    await expect(runCommand(command, [...args])).rejects.toThrow(
      /^x\.mmut: a trace\n {2}expected: a workload[\s\S]*try: mmu-eras convert x\.mmut x\.ops/,
    );
  }
  await expect(runCommand(usesCommand, ['gen:twod-wp'])).rejects.toThrow(/try: mmu-eras replay and compare/);
});

test('long work tells how far it is', async () => {
  const path = join(folder, 'told.mmut');
  const lines = async (run: () => Promise<unknown>) =>
    (await talkOf(run))
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line));
  const told = ['--progress', 'ndjson'];
  const [generation, replay, conversion] = [
    await lines(() => runCommand(genCommand, ['twod-wp', '--events', '40000', '-o', path, ...told])),
    await lines(() => runCommand(replayCommand, [path, '--era', 'v6.1', ...told])),
    await lines(() => runCommand(convertCommand, [path, join(folder, 'told.jsonl'), ...told])),
  ];
  for (const [name, steps] of Object.entries({ gen: generation, replay, convert: conversion })) {
    expect(steps[0]).toEqual({ progress: name, done: 0, total: 40000 });
    expect(steps.at(-1)).toEqual({ progress: name, done: 40000, total: 40000 });
  }
  const workload = await lines(() => runCommand(replayCommand, ['wp-toggle', '--era', 'v6.1,v7.3', ...told]));
  expect(workload.map(({ done, item }) => [done, item])).toEqual([
    [0, undefined],
    [1, 'v6.1'],
    [2, 'v7.3'],
  ]);
  expect(await talkOf(() => runCommand(replayCommand, [path, '--era', 'v6.1']))).toBe('');
});
