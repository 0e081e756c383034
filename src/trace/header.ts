// SPDX-License-Identifier: GPL-2.0-only
import * as z from 'zod/mini';
import { UserError } from '../errors.ts';
import { check } from '../facts/check.ts';
import { reachOf, stepOf, type TraceGuest, type TraceMap, tracePagings } from './guest.ts';
import { formatU64, parsePage } from './numbers.ts';

/** What a trace file says about itself: everything a reader needs beside the events. */
export interface TraceHeader {
  readonly name: string;
  readonly guest: TraceGuest;
  /** Names of the phases that PHASE events number. */
  readonly phases: readonly string[];
  /** How the trace was made, for readers only: generator with its options, or the file it was converted from. */
  readonly origin: Readonly<Record<string, string | number>>;
}

export const HEADER_FORMAT = 'mmu-eras-trace';

// The small half of zod: every replay of a trace loads it.
const integer = (least: number, most: number) => z.int().check(z.minimum(least), z.maximum(most));
const texts = (pattern: RegExp, meaning: string) => z.string().check(z.regex(pattern, meaning));
const address = texts(/^0x[0-9a-f]{1,16}$/, 'an address in hexadecimal digits after 0x');
const count = z.int().check(z.positive(), z.maximum(2 ** 32));

const mapSchema = z
  .strictObject({
    gva: address,
    gpa: address,
    count,
    size: z.enum(['4k', '2m', '4m']),
    flags: texts(/^(?!.*(.).*\1)[pwunagd]*$/, 'letters of p w u n a g d, each once'),
    read_only_one_in: z.optional(integer(2, 2 ** 31)),
    scatter: z.optional(integer(0, 0xffff)),
  })
  .check(
    z.refine(({ read_only_one_in: n = 2 }) => (n & (n - 1)) === 0, {
      path: ['read_only_one_in'],
      error: 'a power of two',
    }),
  );

const headerSchema = z.strictObject({
  format: z.literal(HEADER_FORMAT),
  name: z.string().check(z.minLength(1), z.maxLength(200)),
  origin: z.record(z.string(), z.union([z.string(), z.number()])),
  guest: z.strictObject({
    paging: z.enum(tracePagings),
    frames: count,
    table_frame: integer(0, 2 ** 22),
    spaces: z.array(z.strictObject({ maps: z.array(mapSchema) })).check(z.minLength(1), z.maxLength(65536)),
  }),
  phases: z.array(z.string().check(z.minLength(1))).check(z.maxLength(65536)),
});

type HeaderJson = z.input<typeof headerSchema>;

/** The header as the file holds it; addresses are strings, as in docs/ops.md. */
export function headerJson({ name, guest, phases, origin }: TraceHeader): HeaderJson {
  const { paging, frames, tableFrame, spaces } = guest;
  return {
    format: HEADER_FORMAT,
    name,
    origin: { ...origin },
    guest: { paging, frames, table_frame: tableFrame, spaces: spaces.map(({ maps }) => ({ maps: maps.map(mapJson) })) },
    phases: [...phases],
  };
}

function mapJson({ page, frame, count: pages, size, flags, readOnlyOneIn, scatter }: TraceMap) {
  return {
    gva: formatU64(page),
    gpa: formatU64(frame),
    count: pages,
    size,
    flags,
    ...(readOnlyOneIn === 0 ? {} : { read_only_one_in: readOnlyOneIn }),
    ...(scatter === 0 ? {} : { scatter }),
  };
}

/** A header from JSON. UserError at `place` when it is not one. */
export function parseHeader(json: unknown, place: string): TraceHeader {
  const { name, origin, guest, phases } = check(headerSchema, json, `${place}: header`);
  const spaces = guest.spaces.map(({ maps }, space) => ({
    maps: maps.map((map, i) => mapOf(map, { place: `${place}: header at guest.spaces.${space}.maps.${i}`, guest })),
  }));
  const { paging, frames, table_frame: tableFrame } = guest;
  return { name, origin, phases, guest: { paging, frames, tableFrame, spaces } };
}

interface MapPlace {
  readonly place: string;
  readonly guest: HeaderJson['guest'];
}

function mapOf(json: z.output<typeof mapSchema>, { place, guest }: MapPlace): TraceMap {
  const { gva, gpa, count: pages, size, flags, read_only_one_in: readOnlyOneIn = 0, scatter = 0 } = json;
  const map = { page: parsePage(gva), frame: parsePage(gpa), count: pages, size, flags, readOnlyOneIn, scatter };
  const refuse = (found: string, expected: string): never => {
    throw new UserError({ place, found, expected });
  };
  const step = stepOf(size);
  if (size !== '4k' && (size === '4m') !== (guest.paging === '32bit')) {
    refuse(`pages of ${size} in ${guest.paging} tables`, guest.paging === '32bit' ? '4k or 4m' : '4k or 2m');
  }
  if (map.page < 0 || map.page % step !== 0) refuse(`gva ${gva}`, `a multiple of the page size, ${size}`);
  if (map.frame < 0 || map.frame % step !== 0) refuse(`gpa ${gpa}`, `a multiple of the page size, ${size}`);
  if (map.frame + reachOf(map) * step > guest.frames) {
    refuse(`gpa ${gpa} and ${pages} pages of ${size}`, `frames within guest.frames, ${guest.frames}`);
  }
  const limit = pageLimits[guest.paging];
  if (map.page + pages * step > limit) refuse(`gva ${gva} and ${pages} pages`, `addresses of ${guest.paging} paging`);
  return map;
}

/** Linear pages by paging mode; 45 bits stand for all, as the upper half is the end of them. */
const pageLimits = { '32bit': 2 ** 20, pae: 2 ** 20, '4level': 2 ** 45, '5level': 2 ** 45 } as const;
