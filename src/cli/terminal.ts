// SPDX-License-Identifier: GPL-2.0-only

/** What the printed text may use. Piped output is 120 columns wide, without colour or hyperlinks, whatever the terminal. */
export interface Output {
  readonly width: number;
  /** Whether the reader can open a link that the text does not spell out. */
  readonly hyperlinks: boolean;
  /** Emphasis on a terminal that wants colour, else the text as it is. */
  bold(text: string): string;
  /** A line of a diff, by its first character, on a terminal that wants colour. */
  diffLine(text: string): string;
  /** A clickable title on a terminal that has them, else the title with the address behind it. */
  link(title: string, url: string): string;
}

/** Output without terminal: for pipes, files and tests. */
export const plainOutput: Output = {
  width: 120,
  hyperlinks: false,
  bold: (text) => text,
  diffLine: (text) => text,
  link: (title, url) => (title === url ? url : `${title} <${url}>`),
};

interface Stream {
  readonly isTTY?: boolean | undefined;
  readonly columns?: number | undefined;
}

/**
 * The output that a stream allows. NO_COLOR (any non-empty value) switches emphasis off. `hyperlinks` says whether the
 * terminal has them; a pipe never does, whatever it says.
 */
export function outputOf(
  stream: Stream,
  environment: Readonly<Record<string, string | undefined>>,
  hyperlinks: boolean,
): Output {
  if (stream.isTTY !== true) return plainOutput;
  const coloured = (environment.NO_COLOR ?? '') === '';
  return {
    width: Math.min(160, Math.max(60, stream.columns ?? 120)),
    hyperlinks,
    bold: (text) => (coloured ? `\u001b[1m${text}\u001b[22m` : text),
    diffLine: (text) => (coloured ? diffColour(text) : text),
    link: hyperlinks ? hyperlink : plainOutput.link,
  };
}

/** OSC 8: the terminal shows the title and opens the address. */
export const hyperlink = (title: string, url: string): string => `\u001b]8;;${url}\u0007${title}\u001b]8;;\u0007`;

/** Green, red, and cyan for where a hunk begins, as git has them. */
function diffColour(text: string): string {
  const colour = text.startsWith('+') ? 32 : text.startsWith('-') ? 31 : text.startsWith('@@') ? 36 : undefined;
  return colour === undefined ? text : `\u001b[${colour}m${text}\u001b[39m`;
}
