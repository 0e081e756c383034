// SPDX-License-Identifier: GPL-2.0-only
import { UserError } from '../../errors.ts';
import { RAM_BYTES } from '../../workload/image.ts';
import { frameOf, isReadOnly, stepOf, type TraceGuest, type TraceMap } from '../guest.ts';
import { formatU64 } from '../numbers.ts';
import { identMaps } from './from-ops.ts';

/** First frame of data in a workload, and the frame after its RAM. docs/ops.md, "Guest memory". */
const DATA = 0x400;
const END = RAM_BYTES / 4096;
/** Linear pages that `ident` takes. */
const IDENT_PAGES = 512;

/** One page as a workload maps it. */
interface OpsEntry {
  readonly level: 1 | 2;
  readonly gva: string;
  readonly gpa: string;
  flags: string;
}

interface Run {
  readonly page: number;
  readonly frame: number;
  readonly size: TraceMap['size'];
  readonly flags: string;
  count: number;
}

/** A traced guest's memory in the 32 MiB of a workload: data is moved when it lies elsewhere. */
export class OpsMemory {
  readonly isMoved: boolean;
  readonly isAbove4G: boolean;
  readonly #guest: TraceGuest;
  readonly #name: string;
  /** New frame by old, for data that was moved. */
  readonly #moved = new Map<number, number>();
  #next = DATA;
  readonly #runs: readonly (readonly Run[])[];
  readonly #entries: readonly Map<number, OpsEntry>[];
  readonly #global: readonly boolean[];

  /** UserError when the pages do not fit. */
  constructor(name: string, guest: TraceGuest) {
    this.#name = name;
    this.#guest = guest;
    const data = guest.spaces.map(({ maps }) => maps.filter((map) => !this.#isIdent(map)));
    this.#global = guest.spaces.map(({ maps }) => maps.some((map) => map.page === 0 && map.flags.includes('g')));
    const all = data.flat();
    this.isAbove4G = all.some(({ page, count, size }) => page + count * stepOf(size) > 2 ** 20);
    this.isMoved = all.some(
      (map) =>
        map.frame < DATA || map.frame + map.count * stepOf(map.size) > END || (map.scatter !== 0 && guest.frames > END),
    );
    for (const { page } of all) {
      if (page < IDENT_PAGES)
        this.#refuse(`data at ${formatU64(page)}`, 'data above 2 MiB, where the code of a workload is');
    }
    this.#runs = data.map((maps) => maps.flatMap((map) => this.#runsOf(map)));
    this.#entries = this.#runs.map(entriesOf);
  }

  /** `map` and `ident` of a space. */
  mapLines(space: number): string[] {
    const lines = this.#runs[space]!.map(
      ({ page, frame, count, size, flags }) =>
        `map S${space} ${formatU64(page)} ${formatU64(frame)} ${count} ${size} ${flags === '' ? 'z' : flags}`,
    );
    return [...lines, `ident S${space}${this.#global[space] ? ' g' : ''}`];
  }

  /** The entry that maps a page in a space, as it stands now. */
  entryAt(space: number, page: number): OpsEntry | null {
    const entries = this.#entries[space]!;
    return entries.get(page) ?? entries.get(page - (page % (this.#guest.paging === '32bit' ? 1024 : 512))) ?? null;
  }

  #isIdent(map: TraceMap): boolean {
    return [false, true].some((global) =>
      identMaps(this.#guest.paging, global).some(
        ({ page, frame, count, flags }) =>
          map.page === page && map.frame === frame && map.count === count && map.flags === flags && map.size === '4k',
      ),
    );
  }

  /** Pages that follow each other in both address spaces, with the same flags, are one `map`. */
  #runsOf(map: TraceMap): Run[] {
    const runs: Run[] = [];
    const { size } = map;
    const step = stepOf(size);
    for (let i = 0; i < map.count; i++) {
      const page = map.page + i * step;
      const frame = this.#place(frameOf(map, i), step);
      const flags = isReadOnly(map, i) ? map.flags.replace('w', '') : map.flags;
      const last = runs.at(-1);
      if (last && last.frame + last.count * step === frame && last.flags === flags) last.count++;
      else runs.push({ page, frame, size, flags, count: 1 });
    }
    return runs;
  }

  #place(frame: number, step: number): number {
    if (!this.isMoved) return frame;
    const known = this.#moved.get(frame);
    if (known !== undefined) return known;
    const place = Math.ceil(this.#next / step) * step;
    this.#next = place + step;
    if (this.#next > END) this.#refuse(`more than ${END - DATA} pages of data`, `at most ${(END - DATA) / 256} MiB`);
    this.#moved.set(frame, place);
    return place;
  }

  #refuse(found: string, expected: string): never {
    throw new UserError({ place: this.#name, found, expected, suggestion: 'a .jsonl file, which says everything' });
  }
}

function entriesOf(runs: readonly Run[]): Map<number, OpsEntry> {
  const entries = new Map<number, OpsEntry>();
  for (const { page, frame, size, flags, count } of runs) {
    const step = stepOf(size);
    for (let i = 0; i < count; i++) {
      const at = page + i * step;
      const level = size === '4k' ? 1 : 2;
      entries.set(at, { level, gva: formatU64(at), gpa: formatU64(frame + i * step), flags });
    }
  }
  return entries;
}
