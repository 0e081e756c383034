// SPDX-License-Identifier: GPL-2.0-only
import {
  type DecodedField,
  type DecodedHalf,
  decodeHalf,
  fieldValue,
  type LayoutRecord,
  releaseOf,
} from '../../facts/index.ts';
import type { RoleWord } from '../../facts/role-word.ts';
import { hex32 } from '../../role/layout.ts';
import { rowsAsCsv, type Sheet } from './sheet.ts';

/** Whose layout to read a word with; `era` is null when a layout was named directly. */
export interface DecodeTarget {
  readonly era: string | null;
  readonly layout: LayoutRecord;
}

/** One word under one layout. `ext` is null for a 32-bit word. */
export interface Decoding {
  readonly word: string;
  readonly era: string | null;
  readonly layout: string;
  readonly when: string;
  readonly base: DecodedHalf;
  readonly ext: DecodedHalf | null;
  /** What the layout cannot say about this word. */
  readonly notes: readonly string[];
}

/** Every word under every target, words first. */
export function decodeWords(words: readonly RoleWord[], targets: readonly DecodeTarget[]): Decoding[] {
  return words.flatMap((word) =>
    targets.map(({ era, layout }) => {
      const base = decodeHalf(layout, 'base', word.base);
      const ext = word.ext === null ? null : decodeHalf(layout, 'ext', word.ext);
      return {
        word: word.ext === null ? `0x${hex32(word.base)}` : `0x${hex32(word.ext)}${hex32(word.base)}`,
        era,
        layout: layout.id,
        when: layout.when,
        base,
        ext,
        notes: [base, ext].flatMap((half) => (half ? notesOf(layout, half) : [])),
      };
    }),
  );
}

function notesOf(layout: LayoutRecord, half: DecodedHalf): string[] {
  const notes: string[] = [];
  if (half.half === 'ext' && layout.ext === undefined) notes.push('roles of this layout have no extended word');
  else if (half.fields.length === 0) notes.push('the extended word of this layout has no fields yet');
  if (half.unknown.length > 0) {
    notes.push(`unknown ${half.half} bit${half.unknown.length > 1 ? 's' : ''} set: ${half.unknown.join(', ')}`);
  }
  return notes;
}

const head = ['half', 'bits', 'field', 'value', 'meaning', 'commits'];

/** A table for each decoding. */
export function decodingSheets(decodings: readonly Decoding[]): Sheet[] {
  return decodings.map((decoding) => ({
    title: `${decoding.word} in ${decoding.era ?? decoding.layout} (layout ${decoding.layout}: ${decoding.when})`,
    head,
    rows: halves(decoding).flatMap((half) =>
      half.fields.map((field) => [half.half, field.bits, field.name, fieldValue(field), field.meaning, history(field)]),
    ),
    notes: decoding.notes,
  }));
}

/** One line for each field, and one for each unknown bit that is set. */
export function decodingsAsCsv(decodings: readonly Decoding[]): string {
  const rows = decodings.flatMap((decoding) =>
    halves(decoding).flatMap((half) =>
      [
        ...half.fields.map((field) => [field.bits, field.name, String(field.value), field.meaning, history(field)]),
        ...half.unknown.map((bit) => [String(bit), '', '1', 'unknown bit', '']),
      ].map((cells) => [decoding.word, decoding.era ?? '', decoding.layout, half.half, ...cells]),
    ),
  );
  return rowsAsCsv(['word', 'era', 'layout', ...head], rows);
}

const halves = ({ base, ext }: Decoding): DecodedHalf[] => (ext ? [base, ext] : [base]);

const history = ({ events }: DecodedField): string =>
  events
    .map(({ what, change }) => `${what}: ${change.sha?.slice(0, 12) ?? 'sha unknown'} ${releaseOf(change)}`)
    .join('; ');
