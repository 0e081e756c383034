// SPDX-License-Identifier: GPL-2.0-only
import type { Finding } from './model.ts';
import type { Unreadable } from './source.ts';

type Subject = Pick<Finding, 'kind' | 'what' | 'revision' | 'places'>;

/** Agreed when there is no difference. */
export const compared = (subject: Subject, differences: readonly string[]): Finding => ({
  ...subject,
  outcome: differences.length === 0 ? 'agreed' : 'differs',
  differences,
  why: null,
  fetch: null,
});

export const unchecked = (subject: Subject, why: string, fetch: string | null = null): Finding => ({
  ...subject,
  outcome: 'unchecked',
  differences: [],
  why,
  fetch,
});

export const unreadable = (subject: Subject, { why, fetch }: Unreadable): Finding => unchecked(subject, why, fetch);
