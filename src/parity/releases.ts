// SPDX-License-Identifier: GPL-2.0-only
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import * as z from 'zod';
import { UserError } from '../errors.ts';
import { check } from '../facts/check.ts';
import { commitsFolder } from '../facts/load.ts';

const text = z.string().min(1);

const releaseRecord = z.strictObject({
  /** `uname -r`. */
  release: text,
  /** Upstream version the build is made of. */
  version: z.string().regex(/^\d+\.\d+(\.\d+)?$/, 'a version such as 6.1.192'),
  era: text,
  /** Commits this kernel has beyond the era's port, by the names the port gives them. */
  differences: z.array(z.strictObject({ name: text, why: text })),
  /** `caller > function`: calls that the compiler inlined, so that no probe could see them; `*` is any caller. */
  inlined: z.array(z.string().regex(/^[\w*]+ > \w+$/, 'caller > function')),
  /** Counts of truth.json that this kernel has no tracepoint for. */
  untraced: z.array(text).optional(),
  /** Width of the error code in the kvm_page_fault tracepoint: up to v5.19 it dropped bits 32 and 33 of a nested fault. */
  fault_code_bits: z.union([z.literal(32), z.literal(64)]),
  /** What a replay cannot know of this kernel's recordings, and why. */
  chance: z
    .array(
      z.strictObject({
        mode: text,
        /** null: every workload. */
        workload: text.nullable(),
        fields: z.array(text),
        /** Whether totals are left to chance too, or only phases. */
        totals: z.boolean(),
        why: text,
      }),
    )
    .optional(),
  evidence: text,
});

/** A recorded kernel: which era it is, and what sets it apart. */
export type ReleaseRecord = z.infer<typeof releaseRecord>;

const releasesFile = z.strictObject({
  schema: z.literal('releases/1'),
  about: text,
  releases: z.array(releaseRecord).min(1),
});

export type Chance = NonNullable<ReleaseRecord['chance']>[number];

let cached: readonly ReleaseRecord[] | undefined;

/** The table of recorded kernels, commits/releases.json. */
export function releases(): readonly ReleaseRecord[] {
  const file = 'releases.json';
  const read = (): unknown => JSON.parse(readFileSync(join(commitsFolder(), file), 'utf8'));
  cached ??= check(releasesFile, read(), `commits/${file}`).releases;
  return cached;
}

/** Whether a difference is one that the release's record leaves to chance. */
export const isChance = (chance: readonly Chance[], field: string, phase: string): boolean =>
  chance.some(({ fields, totals }) => fields.includes(field.replace(/\[.*$/, '')) && (totals || phase !== 'total'));

/** The kernel of a recording, undefined when the table does not have it. */
export const findRelease = (release: string): ReleaseRecord | undefined =>
  releases().find((each) => each.release === release);

/** The kernel of a recording; UserError when nobody has said which era it is. */
export function releaseOf(release: string): ReleaseRecord {
  const found = findRelease(release);
  if (found) return found;
  throw new UserError({
    place: release,
    found: 'a kernel that is not in commits/releases.json',
    expected: `one of ${releases()
      .map((each) => each.release)
      .join(', ')}`,
    suggestion: '--era ID, to compare it with an era of your choice',
  });
}
