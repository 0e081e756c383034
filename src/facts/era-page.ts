// SPDX-License-Identifier: GPL-2.0-only
import { eraDiffs } from './era-diffs.ts';
import { eraFacts } from './era-facts.ts';
import { certainLine, diffLinks, type EraLinks, kernelUrl, type Link, links, sourceLinks } from './links.ts';
import { type HunkLine, type PortHunk, portHunk } from './port-hunk.ts';
import { eraRecord } from './resolve.ts';
import type { EraRecord } from './schema.ts';
import { readStory } from './stories.ts';
import type { KernelReference, Stop, Story } from './story.ts';
import { type StopFigures, stopFigures } from './story-figures.ts';

/** A hunk of the kernel's own diff. */
export interface UpstreamHunk {
  readonly path: string;
  readonly lines: readonly HunkLine[];
}

/** What the kernel's diff has for a stop, or why it cannot be shown. */
export type UpstreamText =
  | { readonly hunks: readonly UpstreamHunk[] }
  /** `command` gets what is missing, null where nothing can. */
  | { readonly missing: string; readonly command: string | null };

/** One stop with everything it leads to. */
export interface StopPage {
  readonly title: string;
  readonly text: string;
  readonly hunks: readonly (PortHunk & { readonly links: readonly Link[] })[];
  /** The commit whose diff is meant; null where the era is no single commit. */
  readonly commit: { readonly sha: string; readonly links: readonly Link[] } | null;
  readonly places: readonly KernelReference[];
  /** null until a clone or capsule was asked. */
  readonly upstream: UpstreamText | null;
  readonly figures: StopFigures | null;
  readonly unseen: string | null;
}

/** A guided reading of one era. */
export interface EraPage {
  readonly era: EraRecord;
  /** Whose story it is, when it is not the era's own. */
  readonly toldIn: string | null;
  readonly story: Story;
  readonly stops: readonly StopPage[];
  /** The record of the era as names and values for people. */
  readonly facts: readonly (readonly [name: string, value: string])[];
  readonly links: EraLinks;
  /** The upstream diffs of the era. */
  readonly diffs: readonly Link[];
}

/** The page of an era from its facts, its story, the ports and the figures of the replays. Throws UserError. */
export function eraPage(id: string): EraPage {
  const era = eraRecord(id);
  const story = readStory(id);
  const owner = eraRecord(story.era);
  return {
    era,
    toldIn: owner.id === era.id ? null : owner.id,
    story,
    stops: story.stops.map((stop) => stopPage(stop, owner)),
    facts: eraFacts(era),
    links: links(id),
    diffs: eraDiffs(era),
  };
}

/** The commit whose diff a stop means: its own, or that of the era. */
const commitOf = (stop: Stop, era: EraRecord): string | null => (stop.commit === 'own' ? era.commit : stop.commit);

function stopPage(stop: Stop, era: EraRecord): StopPage {
  const sha = commitOf(stop, era);
  return {
    title: stop.title,
    text: stop.text,
    hunks: stop.ports.map((reference) => {
      const { cites, ...hunk } = portHunk(reference, era.id);
      if (!cites) return { ...hunk, cites, links: [] };
      const line = certainLine(cites.revision, cites.line ?? undefined);
      return { ...hunk, cites: { ...cites, line: line ?? null }, links: sourceLinks(cites.revision, cites.path, line) };
    }),
    commit: sha === null ? null : { sha, links: [{ title: 'git.kernel.org', url: kernelUrl(sha) }, ...diffLinks(sha)] },
    places: stop.upstream,
    upstream: null,
    figures: stop.replay ? stopFigures(stop.replay, era) : null,
    unseen: stop.unseen,
  };
}
