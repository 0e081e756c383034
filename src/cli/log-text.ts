// SPDX-License-Identifier: GPL-2.0-only
import type { BitHistory, FunctionHistory, FunctionInEra, HistoryCommit, LogModel } from '../verify/history.ts';
import { wrap } from './facts/wrap.ts';
import type { Output } from './terminal.ts';

/** Bits first, then the function, then what a clone adds. */
export function logText({ histories, clone, note }: LogModel, output: Output): string {
  const parts = histories.map((history) =>
    history.kind === 'bit' ? bitText(history, output) : functionText(history, output),
  );
  for (const { from, to, path, text } of clone) {
    const range = `${short(from)}..${short(to)}`;
    parts.push(`${output.bold(`git log -L, ${path}, ${range}`)}\n\n${text === '' ? 'no commit in between\n' : text}`);
  }
  if (note !== null) parts.push(`${wrap(note, output.width)}\n`);
  return parts.join('\n');
}

const short = (revision: string): string => revision.replace(/^([0-9a-f]{12})[0-9a-f]{28}/, '$1');

function bitText({ union, names, meaning, places, commits }: BitHistory, output: Output): string {
  return [
    output.bold(`${names.join(', then ')} in union ${union}`),
    wrap(meaning, output.width),
    '',
    ...places.map(({ bits, layouts, eras }) =>
      wrap(`${bits}: ${[...layouts, ...eras].join(', ')}`, output.width, '  '),
    ),
    '',
    ...commits.flatMap((commit) => commitLines(commit, output)),
    '',
  ].join('\n');
}

function functionText({ name, eras, commits }: FunctionHistory, output: Output): string {
  const changes =
    commits.length === 0 ? ['no milestone names it'] : commits.flatMap((commit) => commitLines(commit, output));
  return [output.bold(`${name}, era by era`), ...eras.flatMap((era) => eraLines(era, output)), '', ...changes, ''].join(
    '\n',
  );
}

const codeWords = {
  first: 'first seen here',
  same: 'our code as before',
  other: 'our code differs from before',
} as const;

function eraLines({ era, path, line, url, code, reads }: FunctionInEra, output: Output): string[] {
  const place = line === null ? path : `${path}:${line}`;
  const linked = url === null ? place : output.link(place, url);
  const lines = [`  ${era}: ${linked}${code === null ? '' : `, ${codeWords[code]}`}`];
  if (reads.length > 0) lines.push(`    ${wrap(`reads ${reads.join(', ')}`, output.width - 4, '      ')}`);
  return lines;
}

function commitLines({ sha, subject, release, what, verified, links }: HistoryCommit, output: Output): string[] {
  const name = sha === null ? 'commit unknown' : sha.slice(0, 12);
  const head = `${release} ${name}${subject === null ? '' : ` "${subject}"`}${verified ? '' : ' (unverified)'}`;
  return [
    wrap(head, output.width, '  '),
    ...what.map((sentence) => `  ${wrap(sentence, output.width - 2, '  ')}`),
    ...links.map(({ title, url }) => `    ${output.link(title, url)}`),
  ];
}
