// SPDX-License-Identifier: GPL-2.0-only
import { bitRange, fieldEvents, githubUrl, type Half, kernelUrl, loadFacts, releaseOf } from '../../facts/index.ts';
import type { Output } from '../terminal.ts';
import { rowsAsCsv, type Sheet, sheetsAsMarkdown, sheetsAsText } from './sheet.ts';
import { wrap } from './wrap.ts';

/** A layout as a column of the map. */
export interface MapColumn {
  readonly layout: string;
  readonly when: string;
  readonly eras: readonly string[];
  /** Field name of each bit, empty where the layout names none. */
  readonly bits: readonly string[];
}

/** What one commit did to a field. */
export interface MapEvent {
  readonly what: string;
  readonly sha: string | null;
  readonly subject: string | null;
  readonly release: string;
  readonly verified: boolean;
  readonly links: readonly string[];
}

export interface MapField {
  readonly name: string;
  readonly meaning: string;
  readonly notes: string | null;
  readonly events: readonly MapEvent[];
}

/** One union: its layouts side by side, and its fields. */
export interface MapUnion {
  readonly half: Half;
  readonly union: string;
  readonly columns: readonly MapColumn[];
  readonly fields: readonly MapField[];
}

export interface BitMap {
  readonly unions: readonly MapUnion[];
}

/** The whole map, from commits/role-bits.json and commits/layouts.json. */
export function bitMap(): BitMap {
  return { unions: [mapUnion('base', 'kvm_mmu_page_role'), mapUnion('ext', 'kvm_mmu_extended_role')] };
}

function mapUnion(half: Half, union: string): MapUnion {
  const { layouts, eras, roleBits } = loadFacts();
  const columns = layouts.flatMap((record) => {
    const fields = half === 'base' ? record.base : record.ext;
    if (!fields) return [];
    const bits = Array.from({ length: 32 }, () => '');
    for (const { field, lsb, width } of fields) if (field !== '(pad)') bits.fill(field, lsb, lsb + width);
    const users = eras.filter(({ layout }) => layout === record.id).map(({ id }) => id);
    return [{ layout: record.id, when: record.when, eras: users, bits }];
  });
  const fields = roleBits.bits
    .filter((bit) => bit.union === union)
    .map((bit) => ({
      name: bit.name,
      meaning: bit.meaning,
      notes: bit.notes,
      events: fieldEvents(bit).map(({ what, change }) => ({
        what,
        sha: change.sha,
        subject: change.subject,
        release: releaseOf(change),
        verified: change.verified,
        links: change.sha ? [kernelUrl(change.sha), githubUrl(change.sha)] : [],
      })),
    }));
  return { half, union, columns, fields };
}

/** Rows of the map for some columns; neighbouring bits that agree in all of them share a row, unnamed ones are left out. */
function mapRows(columns: readonly MapColumn[]): string[][] {
  const rows: string[][] = [];
  for (let bit = 0; bit < 32; ) {
    const cells = columns.map(({ bits }) => bits[bit]!);
    let next = bit + 1;
    while (next < 32 && columns.every(({ bits }, column) => bits[next] === cells[column])) next++;
    if (cells.some((cell) => cell !== '')) rows.push([bitRange(bit, next - bit), ...cells]);
    bit = next;
  }
  return rows;
}

const mapSheet = (union: MapUnion, columns: readonly MapColumn[]): Sheet => ({
  title: `union ${union.union}`,
  head: ['bit', ...columns.map(({ layout }) => layout)],
  rows: mapRows(columns),
  notes: columns.map(
    ({ layout, when, eras }) => `${layout}: ${when}${eras.length > 0 ? `; eras ${eras.join(', ')}` : ''}`,
  ),
});

/** Columns in groups that fit the width. */
function groups(columns: readonly MapColumn[], width: number): MapColumn[][] {
  const found: MapColumn[][] = [];
  let used = Number.POSITIVE_INFINITY;
  for (const column of columns) {
    const needed = 3 + Math.max(column.layout.length, ...column.bits.map((name) => name.length));
    if (used + needed > width) {
      found.push([]);
      // The column of bit numbers and the outer border.
      used = 9;
    }
    found.at(-1)!.push(column);
    used += needed;
  }
  return found;
}

const legend =
  'A release with ? is believed, not proved; "unverified" means that sha, subject or change itself was not seen together.';

export function bitMapAsText(map: BitMap, output: Output): string {
  const tables = map.unions.flatMap((union) =>
    groups(union.columns, output.width).map((columns) => mapSheet(union, columns)),
  );
  const fields = map.unions.flatMap((union) => [
    output.bold(`fields of union ${union.union}`),
    ...union.fields.flatMap((field) => fieldLines(field, output)),
    '',
  ]);
  return `${sheetsAsText(tables, output)}\n${legend}\n\n${fields.join('\n')}`;
}

function fieldLines(field: MapField, output: Output): string[] {
  const lines = [wrap(`${field.name}: ${field.meaning}`, output.width, '  ')];
  if (field.notes) lines.push(`  ${wrap(field.notes, output.width - 2, '  ')}`);
  for (const { what, sha, subject, release, verified, links } of field.events) {
    const commit = sha ? output.link(sha.slice(0, 12), links[0]!) : 'sha unknown';
    const about = `${what}: ${release} ${commit}${subject ? ` "${subject}"` : ''}${verified ? '' : ' (unverified)'}`;
    lines.push(`    ${wrap(about, output.width - 4, '      ')}`);
  }
  return lines;
}

export function bitMapAsMarkdown(map: BitMap): string {
  const tables = sheetsAsMarkdown(map.unions.map((union) => mapSheet(union, union.columns)));
  const fields = map.unions.map((union) =>
    sheetsAsMarkdown([
      {
        title: `Fields of union ${union.union}`,
        head: ['field', 'meaning', 'what', 'release', 'commit', 'subject', 'verified'],
        rows: union.fields.flatMap(({ name, meaning, events }) =>
          events.map((event) => [
            name,
            meaning,
            event.what,
            event.release,
            event.sha ? `[${event.sha.slice(0, 12)}](${event.links[0]}) ([GitHub](${event.links[1]}))` : 'sha unknown',
            event.subject ?? '',
            event.verified ? 'yes' : 'no',
          ]),
        ),
        notes: [legend],
      },
    ]),
  );
  return [tables, ...fields].join('\n');
}

/** One line for each layout and named bit. */
export function bitMapAsCsv(map: BitMap): string {
  const rows = map.unions.flatMap(({ union, columns }) =>
    columns.flatMap(({ layout, bits }) =>
      bits.flatMap((field, bit) => (field === '' ? [] : [[union, layout, String(bit), field]])),
    ),
  );
  return rowsAsCsv(['union', 'layout', 'bit', 'field'], rows);
}
