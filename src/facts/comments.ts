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
const declaration = /^(?:export )?(?:abstract )?(?:function\*?|const|let|class|interface|type|enum) (\w+)/;

/** The name that a line at the margin declares, or null. */
export const declaredName = (line: string): string | null => declaration.exec(line)?.[1] ?? null;

/** Every comment of a file, block comments and runs of line comments. */
export function commentsOf(source: string): Comment[] {
  return [...source.matchAll(comment)].map((match) => {
    const [, below = ''] = source.slice(match.index + match[0].length).split('\n', 2);
    const { text, lineAt } = runningText(match[0].split('\n'));
    const first = source.slice(0, match.index).split('\n').length;
    return {
      text,
      lineAt: (position) => first + lineAt(position),
      declares: match[0].startsWith('/**') ? declaredName(below) : null,
    };
  });
}

/** The lines of one comment as running text, and the index of the line that a position in it is from. */
export function runningText(lines: readonly string[]): { text: string; lineAt(position: number): number } {
  let text = '';
  const starts: number[] = [];
  for (const line of lines) {
    const content = line
      .replace(/^\s*(?:\/\*\*?|\/\/|\*(?!\/))? ?/, '')
      .replace(/\s*\*\/\s*$/, '')
      .trimEnd();
    if (text !== '') text += ' ';
    starts.push(text.length);
    text += content;
  }
  return { text: text.trimEnd(), lineAt: (position) => starts.findLastIndex((start) => start <= position) };
}
