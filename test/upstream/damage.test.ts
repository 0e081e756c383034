// SPDX-License-Identifier: GPL-2.0-only
import { chmodSync, cpSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { openClone } from '../../src/upstream/clone.ts';
import { buildFixture, paths } from './fixture.ts';
import { git } from './repository.ts';
import { mistakeFrom, scratch } from './scratch.ts';

/** Clones that are broken, and clones that change while they are read. */

const { folder, remove } = scratch();
const origin = join(folder, 'origin');
let ids: Record<string, string>;

beforeAll(() => {
  ids = buildFixture(origin);
  git(origin, ['repack', '-q', '-a', '-d']);
});
afterAll(remove);

function copy(name: string): string {
  const repo = join(folder, name);
  cpSync(origin, repo, { recursive: true });
  return repo;
}

/** Changes bytes of the one file with this ending in the pack folder. */
function spoil(repo: string, ending: string, change: (bytes: Buffer) => Buffer): void {
  const packs = join(repo, '.git', 'objects', 'pack');
  const file = join(packs, readdirSync(packs).find((name) => name.endsWith(ending))!);
  chmodSync(file, 0o644);
  writeFileSync(file, change(readFileSync(file)));
}

const mangled = (bytes: Buffer): Buffer => {
  // Past the header, everything but the checksum at the end.
  for (let at = 20; at < bytes.length - 20; at++) bytes[at] = bytes[at]! ^ 0x55;
  return bytes;
};

describe('a damaged clone is reported as such, never read as if a commit or file were not there', () => {
  const damages: Record<string, (repo: string) => void> = {
    'a pack with other bytes': (repo) => spoil(repo, '.pack', mangled),
    'a pack that is cut short': (repo) => spoil(repo, '.pack', (bytes) => bytes.subarray(0, 200)),
    'a pack that is none': (repo) => spoil(repo, '.pack', () => Buffer.from('not a pack at all, not even nearly')),
    'an index with other bytes': (repo) => spoil(repo, '.idx', (bytes) => bytes.fill(0xff, 8, 1024)),
    'an index that is cut short': (repo) => spoil(repo, '.idx', (bytes) => bytes.subarray(0, 100)),
  };
  it.each(Object.keys(damages))('%s', async (name) => {
    const repo = copy(name);
    damages[name]!(repo);
    const message = await mistakeFrom(
      openClone(repo).then(async (source) => {
        try {
          return await source.diff(ids['cpu-role']!, []);
        } finally {
          await source.close();
        }
      }),
    );
    expect(message).toContain('damaged');
    expect(message).toContain('git fsck');
  });

  it('one loose text with other bytes', async () => {
    const repo = copy('loose');
    const id = loosen(repo);
    const file = join(repo, '.git', 'objects', id.slice(0, 2), id.slice(2));
    chmodSync(file, 0o644);
    writeFileSync(file, mangled(readFileSync(file)));
    const source = await openClone(repo);
    expect(await mistakeFrom(source.readFile('v5.17', paths.mmu))).toContain('damaged');
    expect(await mistakeFrom(source.diff(ids['cpu-role']!, []))).toContain('damaged');
    expect(await source.diff(ids.topic!, [])).toContain('+Mehr.');
    await source.close();
  });

  it('one text that is not there', async () => {
    const repo = copy('missing');
    const id = loosen(repo);
    rmSync(join(repo, '.git', 'objects', id.slice(0, 2), id.slice(2)));
    const source = await openClone(repo);
    const calls = [() => source.readFile('v5.17', paths.mmu), () => source.diff(ids['cpu-role']!, [])];
    for (const call of calls) {
      const message = await mistakeFrom(call());
      expect(message).toContain(`object ${id}`);
      expect(message).toMatch(new RegExp(`try: git -C .* fetch .* ${id}$`));
    }
    await source.close();
  });
});

/** Unpacks all objects, and gives the id of the MMU file of v5.17. */
function loosen(repo: string): string {
  const packs = join(repo, '.git', 'objects', 'pack');
  const name = readdirSync(packs).find((each) => each.endsWith('.pack'))!;
  const pack = join(repo, 'pack');
  renameSync(join(packs, name), pack);
  rmSync(packs, { recursive: true });
  git(repo, ['unpack-objects', '-q'], readFileSync(pack));
  rmSync(pack);
  return git(repo, ['rev-parse', `v5.17:${paths.mmu}`]).trim();
}

describe('a clone that changes meanwhile', () => {
  it('is repacked, gets new commits and loses a branch: names once resolved stay', async () => {
    const repo = copy('busy');
    const source = await openClone(repo);
    const before = await source.diff('main', []);
    git(repo, ['commit', '--quiet', '--allow-empty', '-m', 'new']);
    git(repo, ['reset', '--quiet', '--hard', 'v5.17']);
    git(repo, ['tag', '-d', 'v5.17']);
    git(repo, ['repack', '-q', '-a', '-d', '-f', '--depth=1']);
    git(repo, ['pack-refs', '--all']);
    expect(await source.diff('main', [])).toBe(before);
    expect(await source.resolve('main')).toBe(ids.last);
    expect(await source.resolve('v5.17')).toBeNull();
    await source.close();
    const later = await openClone(repo);
    expect(await later.resolve('main')).toBe(ids.release);
    await later.close();
  });

  it('loses a commit that was read before', async () => {
    const repo = copy('pruned');
    const source = await openClone(repo);
    expect(await source.resolve('main')).toBe(ids.last);
    git(repo, ['reset', '--quiet', '--hard', 'v5.17']);
    git(repo, ['reflog', 'expire', '--expire=now', '--all']);
    git(repo, ['repack', '-q', '-a', '-d']);
    expect(await mistakeFrom(source.diff('main', []))).toContain(ids.last!);
    await source.close();
  });

  it('goes away', async () => {
    const repo = copy('gone');
    const source = await openClone(repo);
    expect(await source.resolve('v5.17')).toBe(ids.release);
    rmSync(repo, { recursive: true });
    expect(await mistakeFrom(source.readFile('v5.17', paths.mmu))).toContain('no objects at');
    expect(await mistakeFrom(source.diff('main', []))).toContain('no such folder');
    await source.close();
  });
});
