// SPDX-License-Identifier: GPL-2.0-only
import { describe, expect, it, test } from 'vitest';
import { withUpstream } from '../../src/cli/facts/upstream-hunks.ts';
import { UserError } from '../../src/errors.ts';
import { parseReference } from '../../src/facts/port-source.ts';
import { type EraPage, eraPage, type PortHunk, portHunk } from '../../src/facts/reading.ts';
import { parseStory, storyMarkdown } from '../../src/facts/story.ts';
import type { UpstreamSource } from '../../src/upstream/source.ts';
import { mistakeOf } from '../facts/mistake.ts';

const hunk = (reference: string, era: string): PortHunk => portHunk(parseReference(reference)!, era);
const marks = ({ lines }: PortHunk): string => lines.map(({ mark }) => (mark === 'gap' ? '…' : mark)).join('');

describe('port hunks', () => {
  it('a changed declaration against the era before', () => {
    const found = hunk('snapshots/2023-03-cr0wp/x86.ts#kvm_post_set_cr0', 'cr0wp');
    expect(found).toMatchObject({ change: 'changed', against: 'v5.19' });
    expect(marks(found)).toBe('  ++++       ');
    expect(found.lines.filter(({ mark }) => mark === '+').map(({ text }) => text.trim())[0]).toBe(
      'if (tdp_enabled(vcpu) && changed === CR0.WP) {',
    );
  });

  test.each([
    ['snapshots/2022-04-cpu-role/role.ts#cpu_role', 'cpu-role', 'new', '++++'],
    ['snapshots/2022-04-cpu-role/role.ts#mmu_role', 'root-role', 'removed', '----'],
    ['snapshots/2018-10-role-union/role.ts#mmu_base_role_mask', 'role-union', 'same', ' '],
    ['snapshots/2022-07-v5.19/role.ts#is_cr0_pg', 'v6.12', 'alone', ' '],
    ['snapshots/2008-12-base-role-before/calc.ts#is_nx', 'base-role^', 'alone', ' '],
  ])('%s in %s is %s', (reference, era, change, expected) => {
    const found = hunk(reference, era);
    expect(found.change).toBe(change);
    expect(marks(found)).toBe(expected);
  });

  it('long runs of unchanged lines are counted, and no changed line is lost', () => {
    const found = hunk('snapshots/2026-11-v7.2/masks.ts#update_permission_bitmask', 'v7.2');
    const long = hunk('snapshots/2020-12-v5.10/mmu_write.ts#kvm_mmu_pte_write', 'v5.10');
    expect(marks(found)).toContain('+');
    for (const { lines } of [found, long]) {
      for (const line of lines.filter(({ mark }) => mark === 'gap')) expect(line.text).toMatch(/^\d+ lines as before$/);
    }
  });

  it('a name that is not there says which are', () => {
    expect(mistakeOf(() => hunk('snapshots/2023-03-cr0wp/x86.ts#kvm_post_set_cr9', 'cr0wp'))).toMatch(
      /^snapshots\/2023-03-cr0wp\/x86\.ts: no declaration of kvm_post_set_cr9\n {2}expected: one of .*kvm_post_set_cr0/,
    );
    expect(mistakeOf(() => hunk('snapshots/2023-03-cr0wp/x87.ts#a', 'cr0wp'))).toContain('no such file');
  });
});

describe('the format of a story', () => {
  const stop = (block: string): string =>
    `# t: title\n\nIntro.\n\n## Stop: One\n\nText.\n\n\`\`\`stop\n${block}\n\`\`\`\n\n## End\n\nOver.\n`;
  const port = 'port: snapshots/2023-03-cr0wp/x86.ts#kvm_post_set_cr0';

  it('reads what it writes of', () => {
    const story = parseStory(
      't',
      stop(`${port}\ncommit: none\nreplay: wp-toggle shadow: mmu_load, tables\neras: a, b`),
    );
    expect(story).toMatchObject({ era: 't', title: 't: title', opening: 'Intro.', closing: '## End\n\nOver.' });
    expect(story.stops).toEqual([
      {
        title: 'One',
        text: 'Text.',
        ports: [{ folder: '2023-03-cr0wp', file: 'x86.ts', name: 'kvm_post_set_cr0' }],
        upstream: [],
        commit: null,
        replay: { workload: 'wp-toggle', mode: 'shadow', figures: ['mmu_load', 'tables'], eras: ['a', 'b'] },
        unseen: null,
      },
    ]);
    expect(storyMarkdown(story)).toBe('# t: title\n\nIntro.\n\n## One\n\nText.\n\n## End\n\nOver.\n');
  });

  test.each([
    ['port: x86.ts#a\nunseen: no.', 'port: snapshots/FOLDER/FILE.ts#NAME'],
    [`${port}\nupstream: mmu.c#f\nunseen: no.`, 'upstream: PATH#NAME'],
    [`${port}\nspeed: 3\nunseen: no.`, 'each of the last four once'],
    [`${port}\nunseen: no.\nunseen: no.`, 'each of the last four once'],
    ['unseen: no.', 'one or more'],
    [`${port}\ncommit: HEAD\nunseen: no.`, '12 to 40 hex digits, or none'],
    [port, 'one of the two'],
    [`${port}\nreplay: a b: c\nunseen: no.`, 'one of the two'],
    [`${port}\nreplay: wp-toggle`, 'replay: WORKLOAD MODE: FIGURE, FIGURE'],
    [`${port}\nunseen: no.\neras: a`, 'both, or none'],
  ])('%j is a mistake', (block, expected) => {
    const message = mistakeOf(() => parseStory('t', stop(block)));
    expect(message).toMatch(/^commits\/stories: t, stop "One": /);
    expect(message).toContain(expected);
  });

  test.each([
    ['no title', '## Stop: One\n'],
    ['no stop', '# t\n\n## Other\n'],
    [
      'between two stops',
      `${stop(`${port}\nunseen: no.`)}${stop(`${port}\nunseen: no.`).replace('# t: title\n\nIntro.\n', '')}`,
    ],
    ['no block of references', '# t\n\n## Stop: One\n\nText.\n'],
    ['text after the block', stop(`${port}\nunseen: no.`).replace('## End', 'More.\n\n## End')],
  ])('%s', (found, text) => {
    expect(mistakeOf(() => parseStory('t', text))).toContain(found);
  });
});

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
