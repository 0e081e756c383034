// SPDX-License-Identifier: GPL-2.0-only

/** First and last line of a definition, 1-based, with the comment above it. */
export interface LineRange {
  readonly first: number;
  readonly last: number;
}

/**
 * Where a text in kernel style, or a port in TypeScript, defines `name`: functions (also `FNAME(name)`), macros, unions,
 * structs, enums, tables, types. Several where `#ifdef` gives several; none for calls, prototypes and other mentions.
 * It goes by the style of both: a definition begins at the left edge, and its last line does too.
 */
export function findDefinitions(text: string, name: string): LineRange[] {
  const lines = text.split('\n');
  const starts = startPattern(name);
  const ranges: LineRange[] = [];
  for (let at = 0; at < lines.length; at++) {
    if (!starts.test(lines[at]!)) continue;
    const last = lines[at]!.startsWith('#') ? endOfMacro(lines, at) : endOfBody(lines, at);
    if (last === null) continue;
    ranges.push({ first: beginning(lines, at) + 1, last: last + 1 });
    at = last;
  }
  return ranges;
}

/** The name of the definition that each line belongs to, as the line that opens it; '' above the first one. */
export function openingLines(text: string): string[] {
  let opening = '';
  return text.split('\n').map((line) => {
    if (/^(export |const |function |class |interface |type )/.test(line)) opening = line;
    return opening;
  });
}

/** A line at the left edge that can open a definition of the name. */
function startPattern(name: string): RegExp {
  const word = name.replace(/[^\w]/g, '\\$&');
  const forms = [
    // C: a function, its name on the line of the type or on its own; a name that a macro makes.
    `[A-Za-z_][\\w\\s*]*?\\b${word}\\s*\\(`,
    `${word}\\s*\\(`,
    `[\\w\\s*]*\\bFNAME\\(${word}\\)\\s*\\(`,
    `#\\s*define\\s+${word}\\b`,
    `(?:typedef\\s+)?(?:union|struct|enum)\\s+${word}\\s*\\{`,
    // A table in C, a constant in TypeScript.
    `[A-Za-z_][\\w\\s*]*\\b${word}(?:\\[[^\\]]*\\])*(?::[^=]*)?\\s*=`,
    `(?:export\\s+)?(?:default\\s+)?(?:abstract\\s+)?(?:class|interface|type|enum)\\s+${word}\\b`,
    `(?:export\\s+)?(?:async\\s+)?function\\*?\\s+${word}\\b`,
  ];
  return new RegExp(`^(?:${forms.join('|')})`);
}

function endOfMacro(lines: readonly string[], start: number): number {
  let at = start;
  while (lines[at]!.endsWith('\\') && at + 1 < lines.length) at++;
  return at;
}

/** The line that closes the body; null for a prototype or a call, which have none. */
function endOfBody(lines: readonly string[], start: number): number | null {
  const isTypeScript = /^(?:export|async|function|const|class|interface|type|abstract)\b/.test(lines[start]!);
  for (let at = start; at < lines.length; at++) {
    const line = lines[at]!.replace(/\/\/.*$|\/\*.*?\*\//g, '').trimEnd();
    const opened = at > start && /^[})\]]/.test(line);
    if (opened && !/[{([]$/.test(line)) return at;
    if (at === start && /^[^{]*\{.*\};?$/.test(line)) return at;
    // A statement that ends before any brace: a constant in one piece, or a declaration without body.
    if (line.endsWith(';') && !opened && !hasBrace(lines, start, at)) {
      return isTypeScript || /=/.test(lines.slice(start, at + 1).join(' ')) ? at : null;
    }
    // Another definition begins: the name was no more than a mention.
    if (at > start && line === '' && !hasBrace(lines, start, at) && !isTypeScript) return null;
  }
  return null;
}

const hasBrace = (lines: readonly string[], start: number, end: number): boolean =>
  lines.slice(start, end + 1).some((line) => /[{[]\s*$/.test(line) || line.startsWith('{'));

/** Goes up over the type of a function that stands on its own line, and the comment right above. */
function beginning(lines: readonly string[], start: number): number {
  let at = start;
  while (at > 0 && /^(?:[A-Za-z_][\w\s*]*|\/\*.*|\s\*.*|\/\/.*)$/.test(lines[at - 1]!)) at--;
  return at;
}
