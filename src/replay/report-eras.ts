// SPDX-License-Identifier: GPL-2.0-only
import { UserError } from '../errors.ts';
import {
  anchorOf,
  type EraRecord,
  eraDiffs,
  type Link,
  layoutRecord,
  links,
  loadFacts,
  type PatchLinks,
  story,
} from '../facts/index.ts';

/** One era as a report tells it: facts, links by what they lead to, and its story. */
export interface ReportEra {
  readonly id: string;
  readonly title: string;
  readonly status: EraRecord['status'];
  readonly summary: string;
  readonly subject: string | null;
  readonly author: string | null;
  readonly date: string | null;
  readonly dateBasis: string | null;
  readonly releases: readonly string[];
  readonly releaseNote: string;
  readonly previous: string | null;
  readonly layout: string;
  readonly layoutWhen: string;
  /** The source: commit or tag, as short as it stays clear; null for a series that is no commit. */
  readonly revision: string | null;
  /** Where the source can be read: git.kernel.org and GitHub. */
  readonly source: readonly Link[];
  /** Mails on lore.kernel.org. */
  readonly threads: readonly Link[];
  /** The change itself, as `eraDiffs` finds it. */
  readonly diff: readonly Link[];
  /** The guided reading of the era, from the folder of the report. */
  readonly page: string;
  /** Patch by patch, for the proposed series only. */
  readonly patches: readonly PatchLinks[];
  /** Markdown; null when the era is told in the story of `toldIn`, or nowhere. */
  readonly story: string | null;
  readonly toldIn: string | null;
  /** Whether a port of it exists, so that it can be replayed. */
  readonly replayed: boolean;
}

/** Facts, links and story of one era. */
export function reportEra(era: EraRecord, replayed: boolean): ReportEra {
  const found = links(era.id).links;
  const mails = found.filter(({ url }) => url.startsWith('https://lore.kernel.org/'));
  const toldIn = loadFacts().eras.find(({ before }) => before?.era === era.id)?.id ?? null;
  const text = storyOf(era.id);
  // The code just before a commit is told in that commit's story, once.
  const shared = toldIn !== null && text === storyOf(toldIn);
  return {
    id: era.id,
    title: era.title,
    status: era.status,
    summary: era.summary,
    subject: era.subject,
    author: era.author,
    date: era.date,
    dateBasis: era.date_basis,
    releases: era.releases,
    releaseNote: era.release_note,
    previous: era.previous,
    layout: era.layout,
    layoutWhen: layoutRecord(era.layout).when,
    revision: era.revision === null ? null : anchorOf(era),
    source: found.filter((link) => !mails.includes(link)).map((link) => placeOnly(link, era)),
    threads: mails,
    diff: eraDiffs(era),
    page: `eras/${era.id.replace('^', '-before')}.html`,
    patches: links(era.id).patches,
    story: shared ? null : text,
    toldIn: shared ? toldIn : null,
    replayed,
  };
}

/** The table names the commit, so the link needs the place only; the code before a commit links to that commit. */
function placeOnly({ url }: Link, { commit, revision }: EraRecord): Link {
  const place = url.startsWith('https://github.com/') ? 'GitHub' : 'git.kernel.org';
  const isChild = commit === null && revision !== null && revision.endsWith('^');
  return { title: isChild ? `${place} (the commit after it)` : place, url };
}

function storyOf(id: string): string | null {
  try {
    return story(id);
  } catch (error) {
    if (error instanceof UserError) return null;
    throw error;
  }
}
