// SPDX-License-Identifier: GPL-2.0-only

/** Breaks text at spaces so that no line passes `width`; words that are longer stand alone. Lines after the first get `indent`. */
export function wrap(text: string, width: number, indent = ''): string {
  const lines: string[] = [];
  let line = '';
  for (const word of text.split(/\s+/).filter((part) => part !== '')) {
    const room = width - (lines.length === 0 ? 0 : indent.length);
    if (line !== '' && visible(line) + 1 + visible(word) > room) {
      lines.push(line);
      line = word;
    } else {
      line = line === '' ? word : `${line} ${word}`;
    }
  }
  lines.push(line);
  return lines.join(`\n${indent}`);
}

/** Columns a text takes: escape sequences for emphasis and hyperlinks take none. */
function visible(text: string): number {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: these are the sequences that src/cli/terminal.ts writes
  return text.replace(/\u001b\]8;;[^\u0007]*\u0007|\u001b\[\d+m/g, '').length;
}
