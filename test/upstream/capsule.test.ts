// SPDX-License-Identifier: GPL-2.0-only
import { cpSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type CloneSource, openClone } from '../../src/upstream/clone.ts';
import { packCapsule } from '../../src/upstream/pack.ts';
import type { Plan } from '../../src/upstream/plan.ts';
import { openSource, type UpstreamSource } from '../../src/upstream/source.ts';
import { buildFixture, paths } from './fixture.ts';
import { git } from './repository.ts';
import { fingerprint, mistakeFrom, scratch } from './scratch.ts';

const { folder, remove } = scratch();
const origin = join(folder, 'origin');
const file = join(folder, 'fixture.capsule');
let ids: Record<string, string>;
let plan: Plan;
let clone: CloneSource;
let capsule: UpstreamSource;

beforeAll(async () => {
  ids = buildFixture(origin);
  const revisions = [
    ids.wp!,
    ids.move!,
    ids['cpu-role']!,
    ids['merge-topic']!,
    'v5.17',
    `${ids.wp}^`,
    'v9.9',
    'abcdef123456',
  ];
  plan = { revisions, ranges: [[ids.wp!, 'v5.17']] };
  clone = await openClone(origin);
  const before = fingerprint(origin);
  expect(await packCapsule(clone, plan, file)).toMatchObject({
    commits: 7,
    absent: [
      { revision: 'v9.9', why: 'not in the clone' },
      { revision: 'abcdef123456', why: 'not in the clone' },
    ],
  });
  expect(fingerprint(origin)).toBe(before);
  capsule = (await openSource({ capsule: file }))!;
});
afterAll(async () => {
  await clone.close();
  await capsule.close();
  remove();
});

describe('a capsule answers as the clone it came from', () => {
  it.each(['wp', 'move', 'cpu-role', 'merge-topic', 'release'])('%s', async (name) => {
    const id = ids[name]!;
    expect(await capsule.commitInfo(id.slice(0, 9))).toEqual(await clone.commitInfo(id));
    expect(await capsule.diff(id, [])).toBe(await clone.diff(id, []));
    for (const path of [paths.oldMmu, paths.spaced]) {
      expect(await capsule.diff(id, [path])).toBe(await clone.diff(id, [path]));
    }
    for (const revision of [id, `${id}^`]) {
      for (const path of [paths.mmu, paths.oldMmu, paths.spaced, 'arch/x86/kvm']) {
        expect(await capsule.readFile(revision, path), path).toBe(await clone.readFile(revision, path));
      }
      expect(await capsule.listFiles(revision, 'arch/x86/kvm')).toEqual(
        await clone.listFiles(revision, 'arch/x86/kvm'),
      );
      expect(await capsule.listFiles(revision, 'virt/kvm')).toEqual([]);
    }
  });

  it('between two releases, and from a parent', async () => {
    expect(await capsule.diffBetween(ids.wp!, 'v5.17', [])).toBe(await clone.diffBetween(ids.wp!, 'v5.17', []));
    expect(await capsule.diffBetween('v5.17', ids['cpu-role']!, [paths.mmu])).toContain('+\trole.smm = vcpu->smm;');
  });
});

describe('a capsule says what it does not have', () => {
  it.each<[string, (source: UpstreamSource) => Promise<unknown>, string]>([
    ['a commit', (source) => source.diff('f'.repeat(40), []), `no commit ${'f'.repeat(40)}`],
    ['a commit that was left out', (source) => source.readFile(ids.topic!, paths.x86), `--also`],
    ['the diff of a parent', (source) => source.diff(ids.first!, []), 'as the parent of another commit'],
    ['a path', (source) => source.readFile('v5.17', paths.other), 'nothing about fs/other.c'],
    ['a way', (source) => source.diffBetween(ids.first!, 'v5.17', []), 'no diff from'],
  ])('%s', async (_name, ask, expected) => {
    expect(await mistakeFrom(ask(capsule))).toContain(expected);
  });

  it('and has no history to walk', () => {
    expect(capsule.logL).toBeUndefined();
  });
});

it('is the same file from every kind of clone', async () => {
  const bytes = readFileSync(file);
  git(folder, ['clone', '--quiet', '--mirror', pathToFileURL(origin).href, 'mirror.git']);
  git(join(folder, 'mirror.git'), ['repack', '-q', '-a', '-d', '-f', '--depth=2']);
  cpSync(origin, join(folder, 'loose'), { recursive: true });
  for (const repo of ['mirror.git', 'loose']) {
    const source = await openClone(join(folder, repo));
    await packCapsule(source, plan, join(folder, `${repo}.capsule`));
    await source.close();
    expect(readFileSync(join(folder, `${repo}.capsule`)).equals(bytes)).toBe(true);
  }
});

describe('packing', () => {
  it('needs texts that are there, at least one commit, and a place to write', async () => {
    git(folder, ['clone', '--quiet', '--filter=blob:none', '--no-checkout', pathToFileURL(origin).href, 'partial']);
    const partial = await openClone(join(folder, 'partial'));
    expect(await mistakeFrom(packCapsule(partial, plan, join(folder, 'no.capsule')))).toContain('partial clone');
    await partial.close();
    const none = packCapsule(clone, { revisions: ['v9.9'], ranges: [] }, join(folder, 'no.capsule'));
    expect(await mistakeFrom(none)).toContain('none of the commits');
    const nowhere = packCapsule(clone, plan, join(folder, 'absent', 'no.capsule'));
    expect(await mistakeFrom(nowhere)).toContain('a file that can be written');
    mkdirSync(join(folder, 'a folder'));
    expect(await mistakeFrom(packCapsule(clone, plan, join(folder, 'a folder')))).toContain('can be written');
    expect(readdirSync(folder).filter((each) => /tmp|^no\./.test(each))).toEqual([]);
  });

  it('tells which commit has no parent there, and takes its texts', async () => {
    git(folder, ['clone', '--quiet', '--depth=1', pathToFileURL(origin).href, 'shallow']);
    const source = await openClone(join(folder, 'shallow'));
    const packed = await packCapsule(source, { revisions: [ids.last!], ranges: [] }, join(folder, 'shallow.capsule'));
    await source.close();
    expect(packed).toMatchObject({ commits: 1, diffs: 0, absent: [{ revision: ids.last }] });
    const small = (await openSource({ capsule: join(folder, 'shallow.capsule') }))!;
    expect(await small.readFile(ids.last!, paths.mmu)).toContain('kvm_calc_cpu_role');
  });
});

describe('a file that is no capsule, or a damaged one', () => {
  const changed: Record<string, (bytes: Buffer) => Buffer> = {
    'cut short': (bytes) => bytes.subarray(0, bytes.length - 10),
    'with a byte changed': (bytes) => {
      const copy = Buffer.from(bytes);
      copy[copy.length - 100] = copy[copy.length - 100]! ^ 1;
      return copy;
    },
    empty: () => Buffer.alloc(0),
    'of something else': () => Buffer.from('PACK....'),
    'of a later format': (bytes) => Buffer.from(bytes.toString('latin1').replace('capsule 1', 'capsule 9'), 'latin1'),
  };
  it.each(Object.keys(changed))('%s', async (name) => {
    const path = join(folder, 'changed.capsule');
    writeFileSync(path, changed[name]!(readFileSync(file)));
    expect(await mistakeFrom(openSource({ capsule: path }))).toContain('--capsule');
  });

  it('not there, or named beside a clone', async () => {
    expect(await mistakeFrom(openSource({ capsule: join(folder, 'absent.capsule') }))).toContain('ENOENT');
    expect(await mistakeFrom(openSource({ capsule: file, repo: origin }))).toContain('both');
  });
});

it('needs no git', async () => {
  const { PATH } = process.env;
  process.env.PATH = join(folder, 'no programs');
  try {
    const source = (await openSource({ capsule: file }))!;
    expect(await source.diff(ids.wp!, [])).toContain('+\trole.cr0_wp = vcpu->wp;');
    expect(await source.readFile('v5.17', paths.x86)).toContain('/* left */');
    // So there was none: a clone cannot be read.
    expect(await mistakeFrom(openClone(origin))).toContain('no git on the PATH');
  } finally {
    process.env.PATH = PATH;
  }
});
