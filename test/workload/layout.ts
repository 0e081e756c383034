// SPDX-License-Identifier: GPL-2.0-only
import { readFileSync } from 'node:fs';
import { gunzipSync } from 'node:zlib';
import type { GuestImage } from '../../src/workload/image.ts';
import { hexOf, u64 } from '../../src/workload/u64.ts';

/** Page tables by tree name: root, and by table page the non-zero entries by index. */
type PageTables = Record<string, { format: string; root: string; tables: Record<string, Record<string, string>> }>;

/**
 * What the guest images hold that the recorded kernels ran: written by the image generator, which is a program of its
 * own in another language.
 */
export interface Layout {
  readonly workload: string;
  readonly entry: number;
  readonly code_bytes: number;
  readonly phases: Record<string, string>;
  readonly page_tables: PageTables;
  /** The ops one after the other, with those that stand for several followed by what they stand for. */
  readonly ops: readonly string[];
}

export const layoutNames = [
  'boot-modes',
  'cr3-switch',
  'efer-nx',
  'mix-a',
  'nested-basic',
  'smm-pae',
  'smm',
  'wp-toggle',
];

export function readLayout(name: string): Layout {
  const file = new URL(`layouts/${name}.layout.json.gz`, import.meta.url);
  return JSON.parse(gunzipSync(readFileSync(file)).toString('utf8')) as Layout;
}

/** The page tables of an image in the form of a layout file. */
export function pageTablesOf({ trees, entries }: GuestImage): PageTables {
  const tables = new Map<number, Record<string, string>>();
  for (const { pages } of trees.values()) for (const page of pages) tables.set(page, {});
  for (let i = 0; i < entries.count; i++) {
    const value = u64(entries.lo[i]!, entries.hi[i]!);
    tables.get(entries.frame[i]! * 4096)![String(entries.index[i])] = hexOf(value);
  }
  return Object.fromEntries(
    [...trees.values()].map(({ name, format, root, pages }) => [
      name,
      {
        format,
        root: `0x${root.toString(16)}`,
        tables: Object.fromEntries(pages.map((page) => [`0x${page.toString(16)}`, tables.get(page)!])),
      },
    ]),
  );
}
