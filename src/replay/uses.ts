// SPDX-License-Identifier: GPL-2.0-only
import type { Era } from '../era.ts';
import { sourceUrl, usesTable } from '../facts/index.ts';
import { RoleReads } from '../role/reads.ts';
import { isBlock, type Op, type Workload } from '../workload/ops.ts';
import type { HostOptions } from './host.ts';
import { replay } from './run.ts';

/** One function and one role word it reads: what upstream's code says, and what the port did in these replays. */
export interface UseRow {
  readonly function: string;
  readonly word: string;
  readonly fields: readonly { readonly name: string; readonly reads: number }[];
  /** Why the function looks there; empty for a read that the table does not have. */
  readonly why: string;
  /** File and line upstream, the line where it is known; '' for a read that the table does not have. */
  readonly file: string;
  readonly line?: number;
  /** The address of that place. */
  readonly url: string;
  /** False when the port read something that the table of this era does not list. */
  readonly listed: boolean;
  /** Why the port never makes this read; absent for what it models. */
  readonly notModelled?: string;
}

/** Who reads which role word in one era, counted over some replays. */
export interface UsesReport {
  readonly era: string;
  readonly workloads: readonly string[];
  readonly rows: readonly UseRow[];
}

/** Words that the tables of uses name and that are no role words: nothing notes reads of them. */
const notRoles = new Set(['page', 'registers', 'cpuid', 'host']);

/** What a table writes for a comparison of both halves at once, and what a port notes for it. */
const WHOLE = new Set(['word', 'as_u64']);

/**
 * Replays workloads under an era with reads noted, in each of the given ways that has the instructions the workload
 * needs, and sets the reads beside the era's table.
 */
export function usesOf(era: Era, workloads: readonly Workload[], ways: readonly HostOptions[]): UsesReport {
  const reads = new RoleReads();
  for (const workload of workloads) {
    const needed = vendorsOf(workload.ops);
    for (const options of ways) {
      if (needed.every((vendor) => vendor === vendorOf(options))) replay(era, workload, { ...options, reads });
    }
  }
  return { era: era.id, workloads: workloads.map(({ name }) => name), rows: mergeReads(era, reads) };
}

/** Every mode of the era, shadow paging under both vendors. */
export const everyWay = (era: Era): HostOptions[] =>
  era.modes.flatMap(({ kind, implementation }): HostOptions[] =>
    kind === 'shadow'
      ? (['svm', 'vmx'] as const).map((vendor) => ({ kind, implementation: null, vendor }))
      : [{ kind, implementation, vendor: 'svm' as const }],
  );

const vendorOf = ({ kind, vendor }: HostOptions): HostOptions['vendor'] =>
  kind === 'npt' ? 'svm' : kind === 'ept' ? 'vmx' : vendor;

/** Vendors whose instructions the ops contain. */
function vendorsOf(ops: readonly Op[]): HostOptions['vendor'][] {
  return ops.flatMap((op) => {
    if (isBlock(op)) return vendorsOf(op.body);
    if (op.op === 'vmrun' || op.op === 'svmon') return ['svm'];
    return op.op === 'vmentry' ? ['vmx'] : [];
  });
}

function mergeReads(era: Era, reads: RoleReads): UseRow[] {
  const counted = new Map<string, number>();
  for (const { by, word, field, count } of reads.list()) counted.set(keyOf(by, word, field), count);
  const rows = usesTable(era.id).rows.flatMap((row) =>
    row.reads
      .filter(({ word }) => !notRoles.has(word))
      .map(({ word, fields }): UseRow => {
        const named = fields.map((name) => {
          const key = keyOf(row.function, word, name);
          const count = counted.get(key) ?? 0;
          counted.delete(key);
          return { name, reads: count };
        });
        return {
          function: row.function,
          word,
          fields: named,
          why: row.why,
          file: row.file,
          ...(row.line === undefined ? {} : { line: row.line }),
          url: sourceUrl(row.source, row.file, row.line),
          listed: true,
          ...(row.notModelled === undefined ? {} : { notModelled: row.notModelled }),
        };
      }),
  );
  return [...rows, ...[...counted].map(([key, count]) => unlisted(key, count))];
}

function unlisted(key: string, reads: number): UseRow {
  const [by, word, name] = key.split(' ') as [string, string, string];
  return { function: by, word, fields: [{ name, reads }], why: '', file: '', url: '', listed: false };
}

const keyOf = (by: string, word: string, field: string): string => `${by} ${word} ${WHOLE.has(field) ? 'word' : field}`;
