// SPDX-License-Identifier: GPL-2.0-only
import type { EraRecord } from './schema.ts';

/** The revision as short as it stays clear: 12 digits of a sha, with ^ for its parent, or a tag. */
export const anchorOf = ({ revision }: EraRecord): string =>
  revision === null ? '' : revision.replace(/^([0-9a-f]{12})[0-9a-f]{28}/, '$1');

/** The status in words that leave no doubt about an era that never was a kernel. */
export const statusOf = ({ status }: EraRecord): string =>
  status === 'proposed' ? 'proposed, never merged' : 'merged';

/** The record of an era as names and values for people; what it does not have is left out. */
export function eraFacts(era: EraRecord): [name: string, value: string][] {
  const facts: [string, string][] = [
    ['era', era.id],
    ['status', statusOf(era)],
    ['anchor', anchorOf(era)],
    ['subject', era.subject ?? ''],
    ['author', era.author ?? ''],
    ['date', era.date ? `${era.date} (${era.date_basis})` : ''],
    ['releases', `${era.releases.join(', ') || 'none'}. ${era.release_note}`],
    ['follows', era.previous ?? ''],
    ['just before', era.before?.era ?? ''],
    ['files', era.files.length > 0 ? `${era.files.join(', ')} (${era.files_basis})` : era.files_basis],
    ['layout', era.layout],
    ['role words', era.words.ext === null ? era.words.base : `${era.words.base}; extended: ${era.words.ext}`],
    ['port', era.snapshot === null ? 'none' : `snapshots/${era.snapshot}`],
    ['evidence', era.evidence],
  ];
  return facts.filter(([, value]) => value !== '');
}
