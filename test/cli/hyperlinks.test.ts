// SPDX-License-Identifier: GPL-2.0-only
import { describe, expect, it, test } from 'vitest';
import { linked, linkNames, nameIndex } from '../../src/cli/facts/linked.ts';
import { hyperlink, outputOf, plainOutput } from '../../src/cli/terminal.ts';
import { kernelUrl } from '../../src/facts/index.ts';

const cpuRole = 'e5ed0fb01004f93ddf8a0c632cbc8a3f1ea5b518';
const index = nameIndex(['cpu-role', 'cr0wp']);
/** The addresses in a text with hyperlinks, by title. */
const targets = (text: string): [title: string, url: string][] =>
  // biome-ignore lint/suspicious/noControlCharactersInRegex: OSC 8 begins with an escape
  [...text.matchAll(/\u001b\]8;;([^\u0007]+)\u0007(.*?)\u001b\]8;;\u0007/gs)].map(([, url, title]) => [title!, url!]);
// biome-ignore lint/suspicious/noControlCharactersInRegex: OSC 8 begins with an escape
const visible = (text: string): string => text.replace(/\u001b\]8;;[^\u0007]*\u0007/g, '');

describe('names become links', () => {
  test.each([
    ['an era', 'cpu-role', kernelUrl(cpuRole)],
    ['the code before it', 'base-role^', kernelUrl('a770f6f28b1a9287189f3dc8333eb694d9a2f0ab')],
    ['a release', 'v5.19', 'https://git.kernel.org/pub/scm/linux/kernel/git/torvalds/linux.git/tag/?h=v5.19'],
    ['twelve digits of a commit', 'e5ed0fb01004', kernelUrl(cpuRole)],
    ['all of them', cpuRole, kernelUrl(cpuRole)],
    [
      'a function',
      'kvm_calc_cpu_role',
      `https://github.com/torvalds/linux/blob/${cpuRole}/arch/x86/kvm/mmu/mmu.c#L4752`,
    ],
    ['a role bit', 'smap_andnot_wp', kernelUrl('0be0226f07d14')],
  ])('%s', (_, name, url) => {
    expect(targets(linkNames(`see ${name}, then`, index))).toEqual([[name, url]]);
    expect(targets(linkNames(`It is ${name}.`, index))).toEqual([[name, url]]);
    expect(targets(linkNames(`(${name})`, index))).toEqual([[name, url]]);
  });

  it('leaves the rest alone: words, addresses, paths, numbers, links that are there', () => {
    const text = [
      'level direct access invalid valid',
      'https://git.kernel.org/linus/e5ed0fb01004',
      'snapshots/2022-04-cpu-role/calc.ts',
      '0x3784 deadbeefdead 12345678',
      hyperlink('cpu-role', 'https://example.org/'),
    ].join('\n');
    expect(linkNames(text, index)).toBe(text);
  });

  it('takes the first era that has a function', () => {
    const url = (eras: readonly string[]): string | undefined => nameIndex(eras).names.get('kvm_mmu_reset_context');
    expect(url(['cr0wp', 'cpu-role'])).toContain('01b31714bd90be2784f7145bf93b7f78f3d081e1');
    expect(url(['cpu-role', 'cr0wp'])).toContain(cpuRole);
  });

  it('what is seen does not change', () => {
    const text = '│ cpu-role   │ e5ed0fb01004 │ kvm_mmu_reset_context > kvm_init_mmu │\n';
    const out = linkNames(text, index);
    expect(targets(out)).toHaveLength(4);
    expect(visible(out)).toBe(text);
  });
});

describe('who gets them', () => {
  const text = 'cpu-role of e5ed0fb01004';

  it('a terminal that has hyperlinks', () => {
    expect(linked(text, outputOf({ isTTY: true }, {}, true), [])).toBe(linkNames(text, nameIndex([])));
    expect(outputOf({ isTTY: true }, {}, true).link('mail', 'https://lore.kernel.org/')).toBe(
      hyperlink('mail', 'https://lore.kernel.org/'),
    );
  });

  it('no terminal without, and no pipe whatever is said of it', () => {
    expect(linked(text, outputOf({ isTTY: true }, {}, false), [])).toBe(text);
    expect(outputOf({ isTTY: true }, {}, false).link('mail', 'https://a.org/')).toBe('mail <https://a.org/>');
    expect(outputOf({ isTTY: false }, { FORCE_HYPERLINK: '1' }, true)).toBe(plainOutput);
  });

  it('lines of a diff have their colours, unless NO_COLOR is set', () => {
    const { diffLine } = outputOf({ isTTY: true }, {}, false);
    expect(['+a', '-a', '@@ a', ' a'].map(diffLine)).toEqual([
      '\u001b[32m+a\u001b[39m',
      '\u001b[31m-a\u001b[39m',
      '\u001b[36m@@ a\u001b[39m',
      ' a',
    ]);
    expect(outputOf({ isTTY: true }, { NO_COLOR: '1' }, false).diffLine('+a')).toBe('+a');
  });
});
