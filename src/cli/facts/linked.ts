// SPDX-License-Identifier: GPL-2.0-only
import { citedFunctions, eraRecord, kernelUrl, links, loadFacts, sourceUrl } from '../../facts/index.ts';
import { hyperlink, type Output } from '../terminal.ts';

/** Names of a text and the addresses they lead to. */
export interface NameIndex {
  /** By whole name. */
  readonly names: ReadonlyMap<string, string>;
  /** Full or leading digits of the commits known. */
  readonly commits: readonly string[];
}

/**
 * The text with every era, commit, kernel function and role bit it names as a hyperlink, on a terminal that has them;
 * else the text as it is. It is done to finished text, so that no address takes part in the layout. A function leads to
 * the first of `eras` that cites it.
 */
export const linked = (text: string, output: Output, eras: readonly string[]): string =>
  output.hyperlinks ? linkNames(text, nameIndex(eras)) : text;

/** What the facts and the ports of these eras know the address of. */
export function nameIndex(eras: readonly string[]): NameIndex {
  const { roleBits, milestones, noUnloadV2, eras: all } = loadFacts();
  const names = new Map<string, string>();
  const add = (name: string, url: string | undefined): void => {
    if (url !== undefined && !names.has(name)) names.set(name, url);
  };
  for (const { id } of all) add(id, links(id).links[0]?.url);
  for (const era of eras) {
    const { snapshot } = eraRecord(era);
    if (snapshot === null) continue;
    for (const [name, { revision, path, line }] of citedFunctions(snapshot)) {
      add(name, sourceUrl(revision, path, line ?? undefined));
    }
  }
  // `level` and `direct` are words of English too.
  for (const { name, introduced } of roleBits.bits) {
    if (name.includes('_') && introduced.sha !== null) add(name, kernelUrl(introduced.sha));
  }
  const changes = roleBits.bits.flatMap(({ introduced, renamed_to, removed, readded, width_changes }) => [
    introduced,
    renamed_to?.by,
    removed,
    readded,
    ...width_changes.map(({ by }) => by),
  ]);
  return {
    names,
    commits: [
      ...all.map(({ commit }) => commit),
      ...milestones.milestones.map(({ sha }) => sha),
      ...noUnloadV2.patches.map(({ landed }) => landed?.sha),
      ...changes.map((change) => change?.sha),
    ].filter((sha) => sha !== null && sha !== undefined),
  };
}

/** A hyperlink that is there already, an address, a commit, or a name of letters, digits, `_`, `-`, `.` and `^`. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: OSC 8 begins with an escape
const token = /\u001b\]8;;[^\u0007]*\u0007.*?\u001b\]8;;\u0007|https?:\/\/\S+|(?<![\w/.-])[A-Za-z0-9_][\w.-]*\^?/gs;

/** Makes hyperlinks of what the index knows, and leaves those that are there alone. */
export function linkNames(text: string, { names, commits }: NameIndex): string {
  return text.replace(token, (found) => {
    if (found.startsWith('\u001b') || found.includes('://')) return found;
    // The end of a sentence is no part of a name.
    const [, name = found, rest = ''] = /^(.*?)([.-]*)$/.exec(found) ?? [];
    const url = names.get(name) ?? commitUrl(name, commits);
    return url === undefined ? found : `${hyperlink(name, url)}${rest}`;
  });
}

function commitUrl(name: string, commits: readonly string[]): string | undefined {
  const digits = name.replace(/\^$/, '');
  if (!/^[0-9a-f]{8,40}$/.test(digits)) return undefined;
  const sha = commits.find((one) => one.startsWith(digits));
  return sha === undefined ? undefined : kernelUrl(sha);
}
