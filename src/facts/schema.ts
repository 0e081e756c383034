// SPDX-License-Identifier: GPL-2.0-only
import * as z from 'zod';

/** A commit: 12 to 40 hex digits (the oldest ones are known by their leading digits only). */
const sha = z.string().regex(/^[0-9a-f]{12,40}$/, 'a sha of 12 to 40 hex digits');
const fullSha = z.string().regex(/^[0-9a-f]{40}$/, 'a full sha of 40 hex digits');
const release = z.string().regex(/^v\d+(\.\d+){1,3}$/, 'a release such as v5.19 or v2.6.30');
const date = z.string().regex(/^\d{4}-\d{2}(-\d{2})?$/, 'a date such as 2022-04-14 or 2018-10');
const messageId = z.string().regex(/^[^\s<>]+@[^\s<>]+$/, 'a message-id without angle brackets');
const httpsUrl = z.url({ protocol: /^https$/, error: 'an https address' });
const text = z.string().min(1);
/** What git resolves: a sha, the parent of one, or a tag. */
const revision = z.string().regex(/^([0-9a-f]{40}\^?|v\d+(\.\d+){1,3})$/, 'a sha, a sha with ^, or a tag');

const eraId = z.string().regex(/^[a-z0-9.-]+\^?$/, 'an era id such as cpu-role or cpu-role^');

const eraRecord = z.strictObject({
  id: eraId,
  title: text,
  /** Folder below snapshots/ that ports this era; null where the code is no port of its own. */
  snapshot: z.string().nullable(),
  seed: z.boolean(),
  status: z.enum(['merged', 'proposed']),
  revision: revision.nullable(),
  commit: fullSha.nullable(),
  subject: text.nullable(),
  author: text.nullable(),
  date: date.nullable(),
  date_basis: text.nullable(),
  releases: z.array(release),
  release_note: text,
  previous: eraId.nullable(),
  before: z.strictObject({ era: eraId, revision }).nullable(),
  /** Message-id of the cover letter. */
  cover: messageId.nullable(),
  /** Message-id of the patch mail. */
  patch: messageId.nullable(),
  files: z.array(text),
  files_basis: text,
  /** Id of a layout in role-bits.json or layouts.json. */
  layout: text,
  words: z.strictObject({ base: text, ext: text.nullable() }),
  summary: text,
  evidence: text,
});

/** One era: which commit or series, when, in which releases, and how all of that is known. */
export type EraRecord = z.infer<typeof eraRecord>;

export const erasFile = z.strictObject({
  schema: z.literal('eras/1'),
  conventions: z.record(z.string(), text),
  eras: z.array(eraRecord).min(1),
});

const change = z.strictObject({
  sha: sha.nullable(),
  sha_is_full: z.boolean(),
  subject: text.nullable(),
  author: text.nullable(),
  date: z.string().nullable(),
  date_kind: text.nullable(),
  release: release.nullable(),
  release_believed: text.nullable(),
  verified: z.boolean(),
  evidence: text,
  urls: z.array(httpsUrl).optional(),
});

/** A commit that touched a role bit, with how far it is proved. */
export type Change = z.infer<typeof change>;

const renamed = z.strictObject({ name: text, by: change });

const bit = z.strictObject({
  name: text,
  union: z.enum(['kvm_mmu_page_role', 'kvm_mmu_extended_role']),
  width_bits: z.int().min(1).max(32),
  introduced: change,
  renamed_from: text.nullable(),
  renamed_to: renamed.nullable(),
  removed: change.nullable(),
  readded: change.optional(),
  width_changes: z.array(z.strictObject({ to: z.int(), by: change })),
  meaning: text,
  notes: text.nullable(),
});

/** One named field of one union, from its first commit to its last. */
export type BitRecord = z.infer<typeof bit>;

const layoutField = z.strictObject({ field: text, lsb: z.int().min(0).max(31), width: z.int().min(1).max(32) });
const layoutShape = {
  id: z.string().regex(/^L\d{4}[a-z]?$/, 'a layout id such as L2022a'),
  when: text,
  seen_in: text,
  base: z.array(layoutField).min(1),
  base_bits: z.int().min(1).max(32),
  ext: z.array(layoutField).optional(),
  ext_bits: z.int().min(0).max(32).optional(),
};
const layoutRecord = z.strictObject(layoutShape);

/** The two words of one time, field by field; without `ext` the role is one 32-bit word. */
export type LayoutRecord = z.infer<typeof layoutRecord>;

export const roleBitsFile = z.strictObject({
  schema: z.literal('role-bits/1'),
  generated_from: text,
  conventions: z.record(z.string(), z.unknown()),
  bits: z.array(bit).min(1),
  containers: z.array(
    z.strictObject({
      name: text,
      introduced: change,
      status: text,
      removed: change.optional(),
      renamed_to: text.optional(),
      renamed_by: change.optional(),
      meaning: text,
    }),
  ),
  layouts: z.array(layoutRecord).min(1),
  proposed_never_merged: z.array(z.strictObject({ name: text, union: text, by: text, when: text, fate: text })),
});

export const layoutsFile = z.strictObject({
  schema: z.literal('layouts/1'),
  about: text,
  layouts: z.array(z.strictObject({ ...layoutShape, after: text, evidence: text })),
});

const milestone = z.strictObject({
  order: z.int().min(1),
  sha,
  sha_is_full: z.boolean(),
  subject: text,
  author: text.nullable(),
  author_date: z.string().nullable(),
  date_basis: text.nullable(),
  release: release.nullable(),
  release_believed: text.nullable(),
  files: z.array(text),
  effect: text,
  era: text,
  claims_no_functional_change: z.boolean().nullable(),
  verified: z.boolean(),
  evidence: text,
  message_id: messageId.nullable(),
  first_seen_in_kvm_git: text.nullable(),
  urls: z.strictObject({ git_kernel_org: httpsUrl, github: httpsUrl, lore: httpsUrl.optional() }),
});

/** One commit on the way from the first role to today's. */
export type Milestone = z.infer<typeof milestone>;

export const milestonesFile = z.strictObject({
  schema: z.literal('milestones/1'),
  conventions: z.record(z.string(), text),
  eras: z.array(z.strictObject({ id: text, span: text })),
  milestones: z.array(milestone).min(1),
});

const patch = z.strictObject({
  number: z.int().min(1),
  subject: text,
  author: text,
  messageId,
  summary: text,
  outcome: z.enum(['landed', 'dropped', 'replaced', 'reworked']),
  landed: z.strictObject({ sha: fullSha, release }).nullable(),
  reason: text.nullable(),
  discussion: z.array(messageId),
});

/** One patch of the proposed series and what became of it; `landed` of a replaced patch is the replacement. */
export type PatchRecord = z.infer<typeof patch>;

export const seriesFile = z.strictObject({
  schema: z.literal('no-unload-v2/1'),
  title: text,
  author: text,
  date,
  status: z.literal('proposed'),
  cover: messageId,
  earlier: z.array(z.strictObject({ title: text, date, messageId })),
  summary: text,
  evidence: text,
  patches: z.array(patch).min(1),
});

export type Series = z.infer<typeof seriesFile>;

/**
 * What a function can read. The five role words carry the kernel's field names of the era's layout, `word` for the
 * whole 32-bit word and `as_u64` for base and extended half together. `page_role` is the role of a shadow page,
 * `mmu` other members of struct kvm_mmu, `page` of struct kvm_mmu_page; `registers`, `cpuid` and `host` are no KVM state.
 */
export const readWords = [
  'cpu_role',
  'root_role',
  'mmu_role',
  'base_role',
  'page_role',
  'mmu',
  'page',
  'registers',
  'cpuid',
  'host',
] as const;

const useRow = z.strictObject({
  function: z.string().regex(/^\w+$/, 'a C function name'),
  file: z.string().regex(/^arch\/x86\/kvm\/[\w/]+\.[ch]$/, 'a path below arch/x86/kvm'),
  line: z.int().min(1).optional(),
  reads: z
    .array(z.strictObject({ word: z.enum(readWords), fields: z.array(z.string().regex(/^[\w.]+$/)).min(1) }))
    .min(1),
  why: text,
  /** The revision whose text and line are meant. */
  source: z.union([revision, z.literal('no-unload-v2')]),
  note: text.optional(),
  /** Why the era's port never makes this read: what the port leaves out. */
  notModelled: text.optional(),
});

/** Which role words and fields one function reads, and why. */
export type UseRow = z.infer<typeof useRow>;

export const usesFile = z.strictObject({
  schema: z.literal('uses/1'),
  era: eraId,
  about: text,
  rows: z.array(useRow).min(1),
});

export type UsesTable = z.infer<typeof usesFile>;

/** The schema of each data file of commits/ but for the tables of uses, which share `usesFile`. */
export const factFiles = {
  'eras.json': erasFile,
  'layouts.json': layoutsFile,
  'milestones.json': milestonesFile,
  'no-unload-v2.json': seriesFile,
  'role-bits.json': roleBitsFile,
} as const;

export type FactFiles = { readonly [Name in keyof typeof factFiles]: z.infer<(typeof factFiles)[Name]> };
