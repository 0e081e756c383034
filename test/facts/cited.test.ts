// SPDX-License-Identifier: GPL-2.0-only
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { eras } from '../../snapshots/all.ts';
import { check } from '../../src/facts/check.ts';
import { commitsIn } from '../../src/facts/citations.ts';
import { citedCommits } from '../../src/facts/cited.ts';
import { citedFile } from '../../src/facts/cited-schema.ts';
import { commentsOf } from '../../src/facts/comments.ts';
import { citedByPort, citedByUses, eraRecord, loadFacts } from '../../src/facts/index.ts';
import { commitsFolder } from '../../src/facts/load.ts';
import { commitsOfFacts } from '../../src/verify/commit-facts.ts';
import { filesOf, revisions, snapshots } from '../role/folders.ts';
import { mistakeOf } from './mistake.ts';

const known = new Set([
  ...loadFacts().eras.flatMap(({ revision }) => (revision === null ? [] : [revision.replace('^', '')])),
  ...commitsOfFacts().map(({ revision }) => revision),
]);

/** The commits of the facts that a name with this beginning can mean, the same one under fewer digits once. */
const meant = (name: string): string[] => {
  const found = [...known].filter((sha) => sha.startsWith(name) || name.startsWith(sha));
  return found.filter((sha) => !found.some((other) => other !== sha && other.startsWith(sha)));
};

const folder = commitsFolder();
const texts = [
  ...eras.flatMap(({ id }) => {
    const port = eraRecord(id).snapshot!;
    return filesOf(port).map((file) => ({
      name: `snapshots/${port}/${file}`,
      text: commentsOf(readFileSync(join(snapshots, port, file), 'utf8'))
        .map((comment) => comment.text)
        .join('\n'),
    }));
  }),
  ...readdirSync(folder, { recursive: true, encoding: 'utf8' })
    .filter((name) => /^stories\/.*\.md$|^uses\/.*\.json$|^(layouts|releases)\.json$/.test(name))
    .map((name) => ({ name: `commits/${name}`, text: readFileSync(join(folder, name), 'utf8') })),
];

describe('every commit that a text names is one of the facts', () => {
  test('there is something to look at', () => {
    expect(texts.length).toBeGreaterThan(300);
    expect(texts.flatMap(({ text }) => commitsIn(text)).length).toBeGreaterThan(1000);
  });

  test('it resolves to one commit', () => {
    const lost = new Set<string>();
    for (const { name, text } of texts) {
      for (const sha of commitsIn(text)) if (meant(sha).length !== 1) lost.add(`${name}: ${sha}`);
    }
    expect([...lost]).toEqual([]);
  });

  test('and what cited.json has is named somewhere', () => {
    const all = texts.map(({ text }) => text).join('\n');
    const named = commitsIn(all);
    const idle = citedCommits().filter(({ sha }) => !named.some((name) => sha.startsWith(name)));
    expect(idle).toEqual([]);
  });
});

describe('every citation of a port', () => {
  test.each(eras.map(({ id }) => id))(
    '%s: revision, file and function are well-formed, and the revision is its own',
    (id) => {
      const era = eraRecord(id);
      const allowed = [...(revisions[era.snapshot!] ?? []), era.revision];
      const wrong = citedByPort(era.snapshot!).filter(({ revision }) => {
        const own = allowed.some((one) => one !== null && (one === revision || one.startsWith(revision)));
        return !own && !/^v\d/.test(revision) && meant(revision).length !== 1;
      });
      expect(wrong).toEqual([]);
      for (const { path, symbol, line } of [...citedByPort(era.snapshot!), ...citedByUses(id)]) {
        expect(path).toMatch(/^[\w./-]+\.[ch]$/);
        expect(symbol ?? 'the file').toMatch(/^[A-Za-z_]\w*$|^the file$/);
        expect(line ?? 1).toBeGreaterThan(0);
      }
    },
  );
});

test('cited.json has its schema, and a mistake names file, path, what was found and what was expected', () => {
  const text = readFileSync(join(folder, 'cited.json'), 'utf8');
  const checked = (json: string) => check(citedFile, JSON.parse(json), 'commits/cited.json');
  expect(checked(text).commits).toEqual(citedCommits());
  expect(new Set(citedCommits().map(({ sha }) => sha)).size).toBe(citedCommits().length);
  expect(mistakeOf(() => checked(text.replace('8d5678a76689acbf91245a3791fe853ab773090f', '8d5678a76689')))).toBe(
    'commits/cited.json at commits[0].sha: "8d5678a76689"\n  expected: a full sha of 40 hex digits',
  );
  expect(mistakeOf(() => checked(text.replace('"evidence"', '"proof"')))).toContain('commits/cited.json at commits[0]');
});
