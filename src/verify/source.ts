// SPDX-License-Identifier: GPL-2.0-only

/** Why something cannot be read, and the command line that would bring it, where there is one. */
export interface Unreadable {
  readonly kind: 'unreadable';
  readonly why: string;
  readonly fetch: string | null;
}

/** What a commit says of itself. The date is ISO 8601 with the zone of who wrote it. */
export interface CommitReading {
  readonly kind: 'commit';
  readonly subject: string;
  readonly author: string;
  readonly authorDate: string;
}

/** Where the real C comes from. Revisions are ids, their leading digits, or tags; paths start at the top of the tree. */
export interface KernelSource {
  /** How the reports call it. */
  readonly name: string;
  /** Every file of KVM's x86 side at a revision. */
  listFiles(revision: string): Promise<ReadonlySet<string> | Unreadable>;
  /** The text of one of them. */
  readFile(revision: string, path: string): Promise<string | Unreadable>;
  commitInfo(revision: string): Promise<CommitReading | Unreadable>;
}

export const isUnreadable = (found: object | string): found is Unreadable =>
  typeof found === 'object' && 'kind' in found && found.kind === 'unreadable';
