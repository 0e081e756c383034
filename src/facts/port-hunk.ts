// SPDX-License-Identifier: GPL-2.0-only
import { diffArrays } from 'diff';
import { citationOf, type KernelPlace } from './port-citations.ts';
import { type PortReference, portDeclaration, requiredDeclaration } from './port-source.ts';
import { eraRecord } from './resolve.ts';

/** A line of a hunk: there in both, added, removed; `gap` stands for lines left out and says how many. */
export interface HunkLine {
  readonly mark: ' ' | '+' | '-' | 'gap';
  readonly text: string;
}

/** A declaration of a port, and how it came to be. */
export interface PortHunk {
  readonly name: string;
  /** From the top of the project, with the lines it has there now. */
  readonly file: string;
  readonly first: number;
  readonly last: number;
  /** The era that `-` lines are from; null where there is nothing before. */
  readonly against: string | null;
  readonly change: 'new' | 'removed' | 'changed' | 'same' | 'alone';
  readonly lines: readonly HunkLine[];
  /** The C it is a port of. */
  readonly cites: KernelPlace | null;
}

/** Unchanged lines that stay around a change of a long declaration. */
const context = 4;
const short = 32;

/**
 * The declaration that `reference` names, against the same one in the port that the era follows. A reference into the
 * port before shows what went; one into any other port is shown as it stands there.
 */
export function portHunk(reference: PortReference, era: string): PortHunk {
  const { snapshot, previous } = eraRecord(era);
  const before = previous === null ? null : eraRecord(previous);
  const declaration = requiredDeclaration(reference);
  const shown = {
    name: reference.name,
    file: `snapshots/${reference.folder}/${reference.file}`,
    first: declaration.first,
    last: declaration.last,
    cites: citationOf(declaration, reference.folder),
  };
  const kept = (change: PortHunk['change'], against: string | null): PortHunk => ({
    ...shown,
    against,
    change,
    lines: declaration.lines.map((text) => ({ mark: change === 'removed' ? '-' : change === 'new' ? '+' : ' ', text })),
  });
  if (reference.folder === before?.snapshot && !portDeclaration({ ...reference, folder: snapshot ?? '' })) {
    return kept('removed', before.id);
  }
  if (reference.folder !== snapshot || !before?.snapshot) return kept('alone', null);
  const old = portDeclaration({ ...reference, folder: before.snapshot });
  if (!old) return kept('new', before.id);
  const lines = diffArrays([...old.lines], [...declaration.lines]).flatMap(({ added, removed, value }) =>
    value.map((text): HunkLine => ({ mark: added ? '+' : removed ? '-' : ' ', text })),
  );
  return lines.every(({ mark }) => mark === ' ')
    ? kept('same', before.id)
    : { ...shown, against: before.id, change: 'changed', lines: shortened(lines) };
}

/** Long runs of unchanged lines become one line that counts them; a short declaration stays whole. */
function shortened(lines: readonly HunkLine[]): readonly HunkLine[] {
  if (lines.length <= short) return lines;
  const near = (index: number): boolean =>
    index === 0 || lines.slice(Math.max(0, index - context), index + context + 1).some(({ mark }) => mark !== ' ');
  const result: HunkLine[] = [];
  for (let index = 0; index < lines.length; index++) {
    if (near(index)) {
      result.push(lines[index]!);
      continue;
    }
    let end = index;
    while (end < lines.length && !near(end)) end++;
    if (end - index > 1) result.push({ mark: 'gap', text: `${end - index} lines as before` });
    else result.push(lines[index]!);
    index = end - 1;
  }
  return result;
}
