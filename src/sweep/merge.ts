// SPDX-License-Identifier: GPL-2.0-only
import * as z from 'zod';
import { UserError } from '../errors.ts';
import { cellResultSchema } from './cell.ts';
import { type FileLine, linesOf, type Piece } from './file-lines.ts';
import { cellCount, cellOf, cellText, headerSchema, type SweepHeader } from './header.ts';
import { SWEEP_SCHEMA } from './schema.ts';
import { isInShard, parseShard, type Shard, shardText } from './shard.ts';

const cellLineSchema = z.intersection(
  z.object({
    cell: z.int().min(0),
    workload: z.string(),
    seed: z.number().nullable(),
    mmu: z.string(),
    tlb: z.string(),
    era: z.string(),
    key: z.string(),
  }),
  cellResultSchema,
);

/** A whole sweep: its header, and where the line of each cell stands. */
export interface Merged {
  readonly header: SweepHeader;
  readonly pieces: readonly Piece[];
}

/**
 * Joins the shards of one sweep. UserError for gaps, for cells that come twice, for shards of different sweeps or
 * versions, and for anything that no sweep writes.
 */
export function mergeShards(files: readonly string[]): Merged {
  const merge = new Merge();
  for (const file of files) {
    merge.begin(file);
    for (const line of linesOf(file)) merge.take(line);
    merge.end();
  }
  return merge.finish();
}

class Merge {
  #first: { readonly header: SweepHeader; readonly file: string } | null = null;
  #pieces: (Piece | undefined)[] = [];
  #shards: Shard[] = [];
  #shard: Shard | null = null;
  #file = '';

  begin(file: string): void {
    this.#file = file;
    this.#shard = null;
  }

  take(line: FileLine): void {
    const value = parseLine(line);
    // Shards that were concatenated are as good as shards in files of their own.
    if (value !== null && typeof value === 'object' && 'schema' in value) this.#takeHeader(value, line);
    else this.#takeCell(value, line);
  }

  end(): void {
    if (this.#shard !== null) return;
    throw new UserError({ place: this.#file, found: 'an empty file', expected: 'what mmu-eras sweep wrote' });
  }

  finish(): Merged {
    // `mmu-eras sweep merge` takes one file at least, and `end` saw a header in it.
    const { header } = this.#first!;
    const missing = Array.from({ length: header.cells }, (_, cell) => cell).filter((cell) => !this.#pieces[cell]);
    if (missing.length > 0) throw this.#gaps(header, missing);
    return { header, pieces: this.#pieces as Piece[] };
  }

  #takeHeader(value: object, { place }: FileLine): void {
    const parsed = headerSchema.safeParse(value);
    if (!parsed.success) throw noSweep(place, `a first line with another ${String(parsed.error.issues[0]!.path[0])}`);
    const header = parsed.data;
    if (header.cells !== cellCount(header)) throw noSweep(place, `a first line with ${header.cells} cells`);
    this.#shard = parseShard(header.shard, `${place}: shard`);
    this.#shards.push(this.#shard);
    this.#first ??= { header, file: this.#file };
    const difference = differenceOf(this.#first.header, header);
    if (difference === null) return;
    throw new UserError({
      place,
      found: `${difference} than ${this.#first.file}`,
      expected: 'shards of one sweep, made by one version',
      suggestion: 'the shards again that are of the other version',
    });
  }

  #takeCell(value: unknown, { place, piece }: FileLine): void {
    if (this.#shard === null) throw noSweep(place, 'a first line that is no header');
    const { header, file } = this.#first!;
    const parsed = cellLineSchema.safeParse(value);
    if (!parsed.success) throw noSweep(place, 'a line that is no cell');
    const { cell: number, ...given } = parsed.data;
    if (number >= header.cells || !isInShard(number, this.#shard)) {
      throw noSweep(place, `cell ${number} in shard ${shardText(this.#shard)} of ${header.cells} cells`);
    }
    const cell = cellOf(header, number);
    const text = `cell ${number} (${cellText(cell)})`;
    const other = (['workload', 'seed', 'mmu', 'tlb', 'era', 'key'] as const).find(
      (part) => given[part] !== cell[part],
    );
    if (other) {
      throw new UserError({
        place,
        found: `${text} with the ${other} ${given[other]}`,
        expected: `${cell[other]}, as the header of ${file} has it`,
        suggestion: 'the shard again, if its file was put together from several',
      });
    }
    const known = this.#pieces[number];
    if (known) {
      const from = `${text} a second time; it is in ${known.file} as well`;
      throw new UserError({ place, found: from, expected: 'each cell once', suggestion: 'each shard once' });
    }
    this.#pieces[number] = piece;
  }

  #gaps({ cells }: SweepHeader, missing: readonly number[]): UserError {
    const { header } = this.#first!;
    const named = missing.slice(0, TOLD).map((cell) => `    ${cell}: ${cellText(cellOf(header, cell))}`);
    if (missing.length > TOLD) named.push(`    … and ${missing.length - TOLD} more`);
    const shards = this.#missingShards();
    return new UserError({
      place: this.#first!.file,
      found: [`${missing.length} of ${cells} cells are missing`, ...named].join('\n'),
      expected: 'every cell of the sweep',
      suggestion:
        shards.length > 0
          ? `mmu-eras sweep FILE ${shards.map((shard) => `--shard ${shard}`).join(', ')}`
          : 'the shard again whose file was cut',
    });
  }

  /** Shards that no file holds, when all files are shards of equally many. */
  #missingShards(): string[] {
    const count = this.#shards[0]!.count;
    if (this.#shards.some((shard) => shard.count !== count)) return [];
    const present = new Set(this.#shards.map(({ index }) => index));
    const missing: string[] = [];
    for (let index = 1; index <= count && missing.length < TOLD; index++) {
      if (!present.has(index)) missing.push(shardText({ index, count }));
    }
    return missing;
  }
}

/** Missing cells and shards told by name. */
const TOLD = 5;

function parseLine({ text, place }: FileLine): unknown {
  try {
    return JSON.parse(text);
  } catch {
    throw noSweep(place, 'a line that is no JSON, or was cut');
  }
}

const noSweep = (place: string, found: string): UserError =>
  new UserError({ place, found, expected: `lines that mmu-eras sweep wrote (${SWEEP_SCHEMA})` });

/** In words what two headers differ in, apart from the shard; null when they are of one sweep and one version. */
function differenceOf(a: SweepHeader, b: SweepHeader): string | null {
  const named = (list: readonly { id?: string; name?: string; seed?: number | null; hash: string }[]) =>
    new Map(list.map(({ id, name, seed, hash }) => [id ?? (seed === null ? name! : `${name} seed ${seed}`), hash]));
  for (const [what, one, two] of [
    ['workload', named(a.workloads), named(b.workloads)],
    ['port of', named(a.eras), named(b.eras)],
  ] as const) {
    const changed = [...one].find(([name, hash]) => two.has(name) && two.get(name) !== hash);
    if (changed) return `another version of the ${what} ${changed[0]}`;
  }
  if (a.machine !== b.machine) return `another version of the machine (${b.machine}, not ${a.machine})`;
  const axis = (['workloads', 'eras', 'mmus', 'tlbs', 'vendor', 'cells'] as const).find(
    (name) => JSON.stringify(a[name]) !== JSON.stringify(b[name]),
  );
  return axis === undefined ? null : `other ${axis}`;
}
