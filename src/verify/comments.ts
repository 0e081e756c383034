// SPDX-License-Identifier: GPL-2.0-only

/** A comment of a TypeScript file as running text: markers and indentation are gone, line ends are single spaces. */
export interface Comment {
  readonly text: string;
  /** 1-based line of the file for a position in `text`. */
  lineAt(position: number): number;
  /** The declaration right below a doc comment, if there is one. */
  readonly declares: string | null;
}

const comment = /\/\*[\s\S]*?\*\/|(?:^|(?<=\s))\/\/[^\n]*(?:\n[ \t]*\/\/[^\n]*)*/g;

/** Every comment of a file, block comments and runs of line comments. */
export function commentsOf(source: string): Comment[] {
  return [...source.matchAll(comment)].map((match) => {
    const below = source.slice(match.index + match[0].length);
    const isDoc = match[0].startsWith('/**');
    const declares = (isDoc && /^\n(?:export )?(?:function|const) (\w+)/.exec(below)?.[1]) || null;
    return { ...unwrapped(match[0], lineOf(source, match.index)), declares };
  });
}

function unwrapped(raw: string, first: number): Omit<Comment, 'declares'> {
  let text = '';
  const starts: number[] = [];
  for (const line of raw.split('\n')) {
    const content = line
      .replace(/^\s*(?:\/\*\*?|\/\/|\*(?!\/))? ?/, '')
      .replace(/\s*\*\/\s*$/, '')
      .trimEnd();
    if (text !== '') text += ' ';
    starts.push(text.length);
    text += content;
  }
  return { text, lineAt: (position) => first + starts.findLastIndex((start) => start <= position) };
}

const lineOf = (source: string, position: number): number => source.slice(0, position).split('\n').length;
