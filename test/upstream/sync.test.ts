// SPDX-License-Identifier: GPL-2.0-only
import { chmodSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { openClone } from '../../src/upstream/clone.ts';
import { type Plan, upstreamPlan } from '../../src/upstream/plan.ts';
import { openSource } from '../../src/upstream/source.ts';
import { syncCache } from '../../src/upstream/sync.ts';
import { buildFixture, paths } from './fixture.ts';
import { git } from './repository.ts';
import { fingerprint, mistakeFrom, scratch } from './scratch.ts';

const { folder, remove } = scratch();
const origin = join(folder, 'origin');
const url = pathToFileURL(origin).href;
const saved = { ...process.env };
let ids: Record<string, string>;
let count = 0;

/** A cache folder of its own for each test. */
const newCache = (): string => {
  process.env.XDG_CACHE_HOME = join(folder, `cache ${count++}`);
  return join(process.env.XDG_CACHE_HOME, 'kvm-mmu-eras', 'upstream.git');
};
const planOf = (...revisions: string[]): Plan => ({ revisions, ranges: [] });

async function sync(cache: string, remote: string, plan: Plan) {
  const lines: string[] = [];
  return { ...(await syncCache(cache, remote, plan, { tell: (line) => lines.push(line) })), lines };
}

beforeAll(() => {
  ids = buildFixture(origin);
});
afterEach(() => {
  for (const name of Object.keys(process.env)) if (!(name in saved)) delete process.env[name];
  Object.assign(process.env, saved);
});
afterAll(remove);

describe('sync', () => {
  it('brings commits, parents and KVM texts, which diff then finds by itself', async () => {
    const cache = newCache();
    const plan = planOf(ids['cpu-role']!, 'v5.17', ids.wp!, `${ids.wp}^`, 'v4.20', 'a'.repeat(40), '411c588dfb86');
    const synced = await sync(cache, url, plan);
    expect(synced.fetched).toEqual([ids['cpu-role'], 'v5.17', ids.wp, `${ids.wp}^`]);
    expect(synced.absent).toEqual(['v4.20', 'a'.repeat(40)]);
    expect(synced.unaskable).toEqual(['411c588dfb86']);
    expect(synced.lines[0]).toBe('commits 1 to 5 of 5');
    expect(synced.texts).toBeGreaterThan(0);
    const [cached, direct] = [(await openSource({}))!, await openClone(origin)];
    for (const id of [ids['cpu-role']!, 'v5.17', ids.wp!]) {
      expect(await cached.diff(id, [])).toBe(await direct.diff(id, []));
      expect(await cached.readFile(id, paths.host)).toBe(await direct.readFile(id, paths.host));
    }
    expect(await cached.diffBetween(ids.wp!, 'v5.17', [])).toBe(await direct.diffBetween(ids.wp!, 'v5.17', []));
    expect(cached.describe()).toBe('the cache of mmu-eras upstream sync');
    expect(await mistakeFrom(cached.diff(ids.topic!, []))).toContain(`try: mmu-eras upstream sync --also ${ids.topic}`);
    await cached.close();
    await direct.close();
  });

  it('brings nothing else: neither older commits nor texts outside KVM', async () => {
    const cache = newCache();
    await sync(cache, url, planOf(ids['cpu-role']!));
    const objects = git(cache, ['cat-file', '--batch-all-objects', '--batch-check=%(objecttype) %(objectname)']);
    const kinds = objects.match(/^(commit|blob) .*$/gm)!;
    expect(kinds.filter((line) => line.startsWith('commit')).sort()).toEqual(
      [`commit ${ids['cpu-role']}`, `commit ${ids.release}`].sort(),
    );
    expect(objects).not.toContain(git(origin, ['rev-parse', 'main:MAINTAINERS']).trim());
    expect(objects).toContain(git(origin, ['rev-parse', `${ids['cpu-role']}:${paths.mmu}`]).trim());
  });

  it('takes a clone that was never told to serve single objects, by its path', async () => {
    const cache = newCache();
    git(folder, ['clone', '--quiet', '--bare', url, 'plain.git']);
    const plain = join(folder, 'plain.git');
    const before = fingerprint(plain);
    const synced = await sync(cache, plain, planOf(ids.wp!, ids.topic!));
    expect(synced.fetched).toEqual([ids.wp, ids.topic]);
    expect(fingerprint(plain)).toBe(before);
    const objects = git(cache, ['cat-file', '--batch-all-objects', '--batch-check=%(objectname)']);
    expect(objects).not.toContain(git(origin, ['rev-parse', 'main:MAINTAINERS']).trim());
  });

  it('asks a second time only for what is not there', async () => {
    const cache = newCache();
    await sync(cache, url, planOf(ids['cpu-role']!));
    // `release` came as the parent of `cpu-role`; its own parent did not.
    const plan = planOf(ids['cpu-role']!, ids.release!, ids.topic!);
    const again = await sync(cache, url, plan);
    expect(again).toMatchObject({ fetched: [ids.release, ids.topic], present: [ids['cpu-role']], absent: [] });
    const before = fingerprint(cache);
    const third = await sync(cache, url, plan);
    expect(third).toMatchObject({ fetched: [], present: plan.revisions, texts: 0, lines: [] });
    expect(fingerprint(cache)).toBe(before);
    const source = (await openSource({}))!;
    expect(await source.diff(ids.release!, [])).toContain('+PATCHLEVEL = 17');
    expect(await source.diff(ids['cpu-role']!, [paths.mmu])).toContain('+\trole.smm = vcpu->smm;');
    await source.close();
  });

  it('goes on where a broken run stopped', async () => {
    const cache = newCache();
    const bin = join(folder, 'bin');
    mkdirSync(bin, { recursive: true });
    const real = (process.env.PATH ?? '').split(':').find((each) => existsSync(join(each, 'git')))!;
    // A git whose second fetch breaks off.
    const script = `#!/bin/sh
for word in "$@"; do [ "$word" = fetch ] && echo >> '${bin}/fetches'; done
if [ "$(cat '${bin}/fetches' 2>/dev/null | wc -l)" = 2 ]; then echo 'fatal: early EOF' >&2; exit 128; fi
exec '${real}/git' "$@"
`;
    writeFileSync(join(bin, 'git'), script);
    chmodSync(join(bin, 'git'), 0o755);
    process.env.PATH = `${bin}:${process.env.PATH}`;
    const all = planOf(...Object.values(ids).slice(1));
    expect(await mistakeFrom(sync(cache, url, all))).toContain('early EOF');
    rmSync(bin, { recursive: true });
    const second = await sync(cache, url, all);
    expect(second.present.length).toBeGreaterThanOrEqual(8);
    expect(second.present.length + second.fetched.length).toBe(all.revisions.length);
    expect(second.absent).toEqual([]);
    const [cached, direct] = [(await openSource({}))!, await openClone(origin)];
    for (const id of [ids.wp!, ids['cpu-role']!, ids.last!])
      expect(await cached.diff(id, [])).toBe(await direct.diff(id, []));
    await cached.close();
    await direct.close();
  });

  it('passes on how far git is, and nothing else', async () => {
    let progress = '';
    const plan = planOf('a'.repeat(40), ids.wp!);
    await syncCache(newCache(), url, plan, { tell: () => {}, onProgress: (text) => (progress += text) });
    expect(progress).toMatch(/Receiving objects: 100%/);
    expect(progress).not.toMatch(/fatal|not our ref|From /);
  });

  it('leaves nothing behind for a remote that is none', async () => {
    const cache = newCache();
    expect(await mistakeFrom(sync(cache, join(folder, 'nowhere'), planOf(ids.wp!)))).toContain('--remote');
    expect(await mistakeFrom(sync(cache, 'ext::touch%20/tmp/x', planOf(ids.wp!)))).toContain('--remote');
    expect(await mistakeFrom(sync(cache, '--upload-pack=x', planOf(ids.wp!)))).toContain('--remote');
    expect(existsSync(cache)).toBe(false);
    expect(await openSource({})).toBeNull();
    expect(readdirSync(join(cache, '..'))).toEqual([]);
  });
});

describe('the plan', () => {
  const plan = upstreamPlan(['v6.18']);

  it('has every commit of the facts once, with as many digits as they give', () => {
    expect(new Set(plan.revisions).size).toBe(plan.revisions.length);
    for (const name of ['eras', 'milestones', 'role-bits', 'no-unload-v2']) {
      const text = readFileSync(new URL(`../../commits/${name}.json`, import.meta.url), 'utf8');
      for (const [, sha] of text.matchAll(/"(?:sha|commit|revision)": *"([0-9a-f]{12,40}\^?|v[\d.]+)"/g)) {
        expect(
          plan.revisions.some((revision) => revision.startsWith(sha!)),
          sha,
        ).toBe(true);
      }
    }
    expect(plan.revisions).toContain('v6.18');
    expect(plan.revisions).toContain('v5.17');
    expect(plan.revisions.filter((revision) => revision.startsWith('a770f6f28b1a'))).toEqual([
      'a770f6f28b1a9287189f3dc8333eb694d9a2f0ab^',
      'a770f6f28b1a9287189f3dc8333eb694d9a2f0ab',
    ]);
  });

  it('has the way from one era to a later release', () => {
    expect(plan.ranges).toContainEqual(['v5.10', 'v5.17']);
    expect(plan.ranges.every(([from, to]) => from !== to)).toBe(true);
  });
});
