// SPDX-License-Identifier: GPL-2.0-only
import { eraRecord } from './resolve.ts';
import { changedFields, type DecodedRole, decodedRole, type FieldNote, setFields } from './role-changes.ts';
import type { EraRecord } from './schema.ts';

/** Role words that several eras had in force at the same time, of one replay: rows of commits/story-figures.json. */
export interface WordsOfReplay {
  readonly workload: string;
  readonly mode: string;
  /** Which word: `guest walk`, `tables` or `nested tables`. */
  readonly figure: string;
  readonly eras: readonly string[];
  /** In hex, a column an era; each combination once, in the order of the replay. */
  readonly rows: readonly (readonly string[])[];
}

/** A column of decoded words. */
export interface WordColumn {
  readonly era: string;
  /** As C reaches it from the context: `mmu.cpu_role`. */
  readonly word: string;
  /** It has the extended half. */
  readonly extended: boolean;
}

/** A word, and what there is to say of it against another one. */
export interface WordCell {
  readonly hex: string;
  /** `nothing`: decoded whole. `above`: against the word of the row above. `left`: against that of the era to the left. */
  readonly against: 'nothing' | 'above' | 'left';
  /** Empty where the two words mean the same. */
  readonly notes: readonly FieldNote[];
}

export interface StopWords {
  readonly figure: string;
  readonly columns: readonly WordColumn[];
  readonly rows: readonly (readonly WordCell[])[];
}

const wordFigure = /^(?:guest walk|(?:nested )?tables)$/;

/** Whether a figure of a stop is a role word, and no counter. */
export const isWordFigure = (figure: string): boolean => wordFigure.test(figure);

/** Decodes the words of a stop: the first whole, the others of its column by what changed, the columns beside it by what differs. */
export function stopWords({ figure, eras, rows }: WordsOfReplay): StopWords {
  const columns = eras.map((id) => columnOf(eraRecord(id), figure));
  const decoded = rows.map((row) =>
    row.map((hex, at) => decodedRole(eraRecord(eras[at]!), hex, columns[at]!.extended)),
  );
  return {
    figure,
    columns,
    rows: rows.map((row, index) =>
      row.map((hex, at): WordCell => {
        const role = decoded[index]![at]!;
        const left = decoded[index]![at - 1];
        if (left) return { hex, against: 'left', notes: changedFields(left, role) };
        const above: DecodedRole | undefined = decoded[index - 1]?.[at];
        if (above) return { hex, against: 'above', notes: changedFields(above, role) };
        return { hex, against: 'nothing', notes: setFields(role) };
      }),
    ),
  };
}

/** The first word of an era describes the guest's paging, the last one the tables. */
function columnOf({ id, words }: EraRecord, figure: string): WordColumn {
  const names = words.base.split(', ');
  const base = names[figure === 'guest walk' ? 0 : names.length - 1]!;
  const word = base.replace(/\.base$/, '');
  return { era: id, word, extended: words.ext?.split(', ').includes(`${word}.ext`) ?? false };
}
