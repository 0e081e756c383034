// SPDX-License-Identifier: GPL-2.0-only
import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest';
import { diffCommand } from '../../src/cli/diff.ts';
import { upstreamCommand } from '../../src/cli/upstream.ts';
import { runCommand } from '../cli/capture.ts';
import { buildFixture } from './fixture.ts';
import { git } from './repository.ts';
import { mistakeFrom, scratch } from './scratch.ts';

const { folder, remove } = scratch();
const origin = join(folder, 'origin');
const capsule = join(folder, 'kvm.capsule');
const saved = process.env.XDG_CACHE_HOME;
let ids: Record<string, string>;
let told = '';

beforeAll(() => {
  ids = buildFixture(origin);
  process.env.XDG_CACHE_HOME = join(folder, 'cache');
  vi.spyOn(process.stderr, 'write').mockImplementation((chunk) => {
    told += String(chunk);
    return true;
  });
});
afterEach(() => {
  told = '';
});
afterAll(() => {
  vi.restoreAllMocks();
  if (saved === undefined) delete process.env.XDG_CACHE_HOME;
  else process.env.XDG_CACHE_HOME = saved;
  remove();
});

const upstream = (...args: string[]) => runCommand(upstreamCommand, args);

describe('sync, pack, diff', () => {
  it('say what is missing before there is anything', async () => {
    expect(await mistakeFrom(upstream('pack', '-o', capsule))).toContain('try: mmu-eras upstream sync');
    expect(await mistakeFrom(upstream('pack'))).toContain('no file to write');
    expect(await mistakeFrom(upstream('pack', '-o', capsule, '--remote', origin))).toContain('--remote');
    expect(await mistakeFrom(upstream('sync', '--repo', origin))).toContain('--repo');
    expect(existsSync(capsule)).toBe(false);
  });

  it('work one after the other, from a remote to a capsule', async () => {
    const also = ['--also', ids['cpu-role']!];
    const synced = await upstream('sync', '--remote', origin, ...also);
    expect(synced.code).toBe(0);
    // The fixture has one of the releases that the facts name, and the commit that was asked for.
    expect(synced.stdout).toMatch(
      /^fetched: 2 commits with parents, \d+ texts\nalready there: 0 commits\nnot at this remote: \d+\n/,
    );
    expect(synced.stdout).toContain('\n  e5ed0fb01004f93ddf8a0c632cbc8a3f1ea5b518\n');
    expect(synced.stdout).toMatch(/^known by their first digits only, .*: \d+\n {2}/m);
    expect(told).toMatch(/^commits 1 to 8 of \d+$/m);
    const packed = await upstream('pack', '-o', capsule, ...also);
    expect(packed).toMatchObject({ code: 0 });
    expect(packed.stdout).toMatch(/^packed: 3 commits, 2 diffs, \d+ objects, \d+ bytes\nleft out: \d+\n/);
    const fromCache = await runCommand(diffCommand, [ids['cpu-role']!]);
    const fromCapsule = await runCommand(diffCommand, [ids['cpu-role']!, '--capsule', capsule]);
    const fromClone = await runCommand(diffCommand, [ids['cpu-role']!, '--repo', origin]);
    expect(fromClone.stdout).toContain('+\trole.smm = vcpu->smm;');
    expect(fromCache).toEqual(fromClone);
    expect(fromCapsule).toEqual(fromClone);
  });

  it('ends with 2 when the remote has nothing of it', async () => {
    process.env.XDG_CACHE_HOME = join(folder, 'other cache');
    git(folder, ['init', '--quiet', 'empty']);
    const { code, stdout } = await upstream('sync', '--remote', join(folder, 'empty'));
    expect(code).toBe(2);
    expect(stdout).toContain('fetched: 0 commits');
    expect(readdirSync(join(folder, 'other cache', 'kvm-mmu-eras'))).toEqual([]);
  });
});
