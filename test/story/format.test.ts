// SPDX-License-Identifier: GPL-2.0-only
import { describe, expect, it, test } from 'vitest';
import { parseStory, storyMarkdown } from '../../src/facts/story.ts';
import { mistakeOf } from '../facts/mistake.ts';

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
