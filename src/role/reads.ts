// SPDX-License-Identifier: GPL-2.0-only
import type { Field, Layout } from './layout.ts';

/** Who read which field of which role word, and how often. Off (null) unless a replay asks for it. */
export class RoleReads {
  readonly #counts = new Map<string, number>();

  /** Counts one read of `word.field` by the kernel function `by`. */
  note(by: string, word: string, field: string): void {
    const key = `${by} ${word} ${field}`;
    this.#counts.set(key, (this.#counts.get(key) ?? 0) + 1);
  }

  /** Every (function, word, field) read so far, sorted by name, with its count. */
  list(): { readonly by: string; readonly word: string; readonly field: string; readonly count: number }[] {
    return [...this.#counts.entries()]
      .sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0))
      .map(([key, count]) => {
        const [by, word, field] = key.split(' ') as [string, string, string];
        return { by, word, field, count };
      });
  }
}

/** Whatever carries the notes: an MMU context or a VM of a port. */
export interface NotesReads {
  readonly reads: RoleReads | null;
}

/** One accessor a field, and `word` for a read of the whole word. `by` is the kernel function that reads. */
export type RoleReader<Owner, Name extends string> = Readonly<
  Record<Name | 'word', (owner: Owner, by: string) => number>
>;

/**
 * Accessors for one role word, which note function and field when a replay asks for it.
 * `word` is the kernel's name of the word (`cpu_role`, `root_role`, `page_role` …), `load` fetches it from its owner.
 */
export function roleReader<Owner extends NotesReads, Name extends string>(
  word: string,
  layout: Layout<Name>,
  load: (owner: Owner) => number,
): RoleReader<Owner, Name> {
  const readField =
    ({ name, shift, mask }: Field) =>
    (owner: Owner, by: string): number => {
      if (owner.reads !== null) owner.reads.note(by, word, name);
      return (load(owner) >>> shift) & mask;
    };
  const readWord = (owner: Owner, by: string): number => {
    if (owner.reads !== null) owner.reads.note(by, word, 'word');
    return load(owner) >>> 0;
  };
  const named = layout.fields.filter((field) => !field.pad).map((field) => [field.name, readField(field)] as const);
  // The record has exactly the layout's names and `word` as keys, which fromEntries cannot express.
  return Object.fromEntries([...named, ['word', readWord]]) as RoleReader<Owner, Name>;
}

/** A plain member of the MMU that repeats a role fact (root_level, shadow_root_level, direct_map …), noted like a role field. */
export function memberReader<Owner extends NotesReads>(
  name: string,
  load: (owner: Owner) => number,
): (owner: Owner, by: string) => number {
  return (owner, by) => {
    if (owner.reads !== null) owner.reads.note(by, 'mmu', name);
    return load(owner);
  };
}

/** Whatever owns shadow pages: a VM of a port, which keeps their role words in a column. */
export interface OwnsPages {
  readonly vm: { readonly reads: RoleReads | null; readonly pages: { readonly role: Uint32Array } };
}

/** One accessor a field of `sp->role`, and `word`. The page is named by its id, so that a read allocates nothing. */
export type PageRoleReader<Name extends string> = Readonly<
  Record<Name | 'word', (owner: OwnsPages, page: number, by: string) => number>
>;

/** Accessors for the role of shadow pages, noted as `page_role`. */
export function pageRoleReader<Name extends string>(layout: Layout<Name>): PageRoleReader<Name> {
  const readField =
    ({ name, shift, mask }: Field) =>
    ({ vm }: OwnsPages, page: number, by: string): number => {
      if (vm.reads !== null) vm.reads.note(by, 'page_role', name);
      return (vm.pages.role[page]! >>> shift) & mask;
    };
  const readWord = ({ vm }: OwnsPages, page: number, by: string): number => {
    if (vm.reads !== null) vm.reads.note(by, 'page_role', 'word');
    return vm.pages.role[page]!;
  };
  const named = layout.fields.filter((field) => !field.pad).map((field) => [field.name, readField(field)] as const);
  // As above.
  return Object.fromEntries([...named, ['word', readWord]]) as PageRoleReader<Name>;
}

/**
 * One of the kernel's own accessors (is_cr0_pg() and its kin): whether a field is not 0, noted as a read of its own and
 * as one of the function that asks. `read` is the accessor of the field.
 */
export function noteAccessor<Owner extends NotesReads>(
  name: string,
  read: (owner: Owner, by: string) => number,
): (owner: Owner, by: string) => boolean {
  return (owner, by) => {
    if (owner.reads !== null) read(owner, name);
    return read(owner, by) !== 0;
  };
}

/** Notes that `by` looks at a member of the MMU that follows from a role (permissions, guest_rsvd_check …). */
export function noteMember({ reads }: NotesReads, by: string, name: string): void {
  if (reads !== null) reads.note(by, 'mmu', name);
}
