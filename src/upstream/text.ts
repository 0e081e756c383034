// SPDX-License-Identifier: GPL-2.0-only

/** Facts of one commit object, as it stands there. */
export interface CommitInfo {
  /** 40 hex digits. */
  readonly id: string;
  /** Full ids, the first parent first, whether the clone has them or not. */
  readonly parents: readonly string[];
  /** The name without the address. */
  readonly author: string;
  readonly authorEmail: string;
  /** Author date with the zone of the commit, e.g. `2022-04-14T07:33:05-04:00`. */
  readonly authorDate: string;
  /** First paragraph of the message on one line, as git shows it. */
  readonly subject: string;
}

/** UTF-8 text, or Latin-1 where the bytes are no UTF-8: some old kernel files and commits are not. */
export function decodeText(bytes: Uint8Array): string {
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    return Buffer.from(bytes).toString('latin1');
  }
}

/** Reads the text of a commit object (`git cat-file commit`). */
export function parseCommit(id: string, bytes: Uint8Array): CommitInfo {
  const text = decodeText(bytes);
  const end = text.indexOf('\n\n');
  const headers = (end < 0 ? text : text.slice(0, end)).split('\n');
  const message = end < 0 ? '' : text.slice(end + 2);
  const author = /^author (.*?) ?<([^>]*)> (-?\d+) ([+-]\d{4})$/.exec(
    headers.find((line) => line.startsWith('author ')) ?? '',
  );
  if (!author) throw new Error(`commit ${id} has no author line`);
  return {
    id,
    parents: headers.filter((line) => line.startsWith('parent ')).map((line) => line.slice('parent '.length)),
    author: author[1]!,
    authorEmail: author[2]!,
    authorDate: isoDate(Number(author[3]), author[4]!),
    subject: subjectOf(message),
  };
}

/** The lines up to the first empty one, joined with spaces. */
const subjectOf = (message: string): string =>
  message
    .replace(/^\s*\n/, '')
    .split(/\n\s*\n/)[0]!
    .split('\n')
    .map((line) => line.trim())
    .join(' ')
    .trim();

/** Seconds since 1970 and a zone such as -0400, as ISO 8601 in that zone. */
function isoDate(seconds: number, zone: string): string {
  const minutes = Number(zone.slice(1, 3)) * 60 + Number(zone.slice(3, 5));
  const offset = zone.startsWith('-') ? -minutes : minutes;
  const local = new Date((seconds + offset * 60) * 1000).toISOString().slice(0, 19);
  return `${local}${zone.slice(0, 3)}:${zone.slice(3)}`;
}
