// SPDX-License-Identifier: GPL-2.0-only
import { describe, expect, it } from 'vitest';
import { withUpstream } from '../../src/cli/facts/upstream-hunks.ts';
import { UserError } from '../../src/errors.ts';
import { type EraPage, eraPage } from '../../src/facts/reading.ts';
import type { UpstreamSource } from '../../src/upstream/source.ts';

describe('upstream hunks', () => {
  const path = 'arch/x86/kvm/x86.c';
  const other = ['static int other(void)', '{', '\tint a;', '', '\tkvm_post_set_cr0(1);', '}', ''];
  const text = (...inside: readonly string[]): string => [...inside, '', ...other].join('\n');
  const before = text('void kvm_post_set_cr0(int changed)', '{', '\treset();', '}');
  const after = text(
    'void kvm_post_set_cr0(int changed)',
    '{',
    '\tif (changed == WP)',
    '\t\treturn;',
    '\treset();',
    '}',
  ).replace('cr0(1)', 'cr0(2)');
  const patch = [
    `diff --git a/${path} b/${path}`,
    `--- a/${path}`,
    `+++ b/${path}`,
    '@@ -1,10 +1,12 @@',
    ' void kvm_post_set_cr0(int changed)',
    ' {',
    '+\tif (changed == WP)',
    '+\t\treturn;',
    ' \treset();',
    ' }',
    ' ',
    ' static int other(void)',
    ' {',
    ' \tint a;',
    ' ',
    '-\tkvm_post_set_cr0(1);',
    '+\tkvm_post_set_cr0(2);',
    '',
  ].join('\n');
  const sha = '01b31714bd90be2784f7145bf93b7f78f3d081e1';

  /** A clone with the two texts above; `diff` answers for a commit, there is none between others. */
  const source = (diff: UpstreamSource['diff'], asked: string[] = []): UpstreamSource => {
    const never = (): never => {
      throw new Error('not to be asked');
    };
    return {
      kind: 'clone',
      describe: () => 'clone',
      resolve: never,
      has: never,
      commitInfo: never,
      readFile: async (revision) => (revision.endsWith('^') ? before : after),
      listFiles: never,
      diff: (revision, paths) => {
        asked.push(`${revision} ${paths.join(' ')}`);
        return diff(revision, paths);
      },
      diffBetween: async (from, to) => {
        asked.push(`${from}..${to}`);
        return '';
      },
      missing: never,
      close: never,
    };
  };
  const read = (era: string, from: UpstreamSource, at = new Map<string, string>()): Promise<EraPage> =>
    withUpstream(eraPage(era), from, at);
  const first = (page: EraPage) => page.stops[0]!.upstream!;

  it('has the lines of the function, not those that call it', async () => {
    const asked: string[] = [];
    const page = await read(
      'cr0wp',
      source(async () => patch, asked),
    );
    expect(first(page)).toEqual({
      hunks: [
        {
          path,
          lines: [
            { mark: 'gap', text: '-1,4 +1,6' },
            { mark: ' ', text: 'void kvm_post_set_cr0(int changed)' },
            { mark: ' ', text: '{' },
            { mark: '+', text: '        if (changed == WP)' },
            { mark: '+', text: '                return;' },
            { mark: ' ', text: '        reset();' },
            { mark: ' ', text: '}' },
          ],
        },
      ],
    });
    // The stop about the code around the commit is compared with the era before.
    expect(new Set(asked)).toEqual(new Set([`${sha} ${path}`, `v5.19..${sha}`]));
    expect(page.stops[3]!.upstream).toEqual({
      missing: 'No hunk of the upstream diff is about kvm_mmu_child_role.',
      command: null,
    });
  });

  it('in a tree without the original ids the era is where the user says', async () => {
    const asked: string[] = [];
    await read(
      'cr0wp',
      source(async () => patch, asked),
      new Map([['cr0wp', 'my-branch']]),
    );
    expect(new Set(asked)).toEqual(new Set([`my-branch ${path}`, 'v5.19..my-branch']));
  });

  it('a commit that is not there says so, with what git would need', async () => {
    const mistake = {
      place: 'clone',
      found: 'no commit 01b31714bd90',
      expected: 'the commit',
      suggestion: 'git fetch',
    };
    const page = await read(
      'cr0wp',
      source(async () => {
        throw new UserError(mistake);
      }),
    );
    expect(first(page)).toEqual({
      missing: 'The upstream hunk is not at hand: clone: no commit 01b31714bd90.',
      command: 'git fetch',
    });
  });

  it('what was never merged has no diff, and an error that is ours stays one', async () => {
    const page = await read(
      'no-unload-v2',
      source(async () => ''),
    );
    expect(page.stops[2]!.upstream).toEqual({
      missing: 'There is no upstream diff: this part is in no kernel.',
      command: null,
    });
    const broken = source(async () => {
      throw new TypeError('broken');
    });
    await expect(read('cr0wp', broken)).rejects.toThrow(TypeError);
  });

  it('a long diff is cut, and says by how much', async () => {
    const lines = Array.from({ length: 200 }, (_, i) => `+\t/* ${i} */`);
    const grown = source(async () =>
      patch
        .replace('@@ -1,10 +1,12 @@', '@@ -1,10 +1,212 @@')
        .replace(' \treset();', `${lines.join('\n')}\n \treset();`),
    );
    const long: UpstreamSource = {
      ...grown,
      readFile: async (revision) =>
        revision.endsWith('^')
          ? before
          : after.replace('\treset();', `${lines.map((line) => line.slice(1)).join('\n')}\n\treset();`),
    };
    const found = first(await read('cr0wp', long));
    const hunks = 'hunks' in found ? found.hunks : [];
    expect(hunks).toHaveLength(1);
    // The header, 4 + 2 lines of the function, and 200 comments.
    expect(hunks[0]!.lines.at(-1)).toEqual({ mark: 'gap', text: `${1 + 6 + 200 - 120} more lines` });
  });
});
