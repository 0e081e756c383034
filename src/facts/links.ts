// SPDX-License-Identifier: GPL-2.0-only
import { loadFacts } from './load.ts';
import { eraRecord } from './resolve.ts';

/** An address outside, with the words that name it. */
export interface Link {
  readonly title: string;
  readonly url: string;
}

/** A patch of the proposed series with its links: the mail, the discussion, and what landed. */
export interface PatchLinks {
  readonly number: number;
  readonly subject: string;
  readonly outcome: string;
  readonly links: readonly Link[];
}

/** The links of one era; `patches` only for the proposed series. */
export interface EraLinks {
  readonly era: string;
  readonly links: readonly Link[];
  readonly patches: readonly PatchLinks[];
}

const github = 'https://github.com/torvalds/linux';
const stableTree = 'https://git.kernel.org/pub/scm/linux/kernel/git/stable/linux.git';

/** git.kernel.org in its short form, which redirects to the commit in Linus Torvalds' tree. */
export const kernelUrl = (sha: string): string => `https://git.kernel.org/linus/${sha}`;

/** The commit as a patch with its diff, in the web view of git.kernel.org. */
export const kernelPatchUrl = (sha: string): string =>
  `https://git.kernel.org/pub/scm/linux/kernel/git/torvalds/linux.git/patch/?id=${sha}`;

export const githubUrl = (sha: string): string => `${github}/commit/${sha}`;

/** lore by message-id; a slash inside the id would split the path and is written %2F. */
export const loreUrl = (messageId: string): string =>
  `https://lore.kernel.org/kvm/${messageId.replaceAll('/', '%2F')}/`;

/** bootlin's cross reference of a release, at a line. */
export const bootlinUrl = (release: string, file: string, line: number): string =>
  `https://elixir.bootlin.com/linux/${release}/source/${file}#L${line}`;

/** One file of a revision (sha or tag), with the line where one is known. */
export const sourceUrl = (revision: string, file: string, line?: number): string =>
  sourceLinks(revision, file, line)[0]!.url;

/**
 * Where a file of a revision can be read, at the line where one is known, the best place first. bootlin has releases
 * alone. Linus Torvalds' tree, which GitHub shows, has no stable releases.
 */
export function sourceLinks(revision: string, file: string, line?: number): Link[] {
  const at = certainLine(revision, line);
  const found: Link[] = [];
  if (isRelease(revision) && at !== undefined) found.push({ title: 'bootlin', url: bootlinUrl(revision, file, at) });
  if (isStable(revision)) {
    const lines = at === undefined ? '' : `#n${at}`;
    found.push({ title: 'git.kernel.org', url: `${stableTree}/tree/${file}?h=${revision}${lines}` });
  } else {
    const lines = at === undefined ? '' : `#L${at}`;
    found.push({ title: 'GitHub', url: `${github}/blob/${fullSha(revision)}/${file}${lines}` });
  }
  return found;
}

/** What one commit changed: as a patch, and as a page. */
export const diffLinks = (sha: string): Link[] => [
  { title: 'patch', url: kernelPatchUrl(fullSha(sha)) },
  { title: 'commit page', url: githubUrl(fullSha(sha)) },
];

const isRelease = (revision: string): boolean => /^v\d/.test(revision);

/** Three numbers since v3.0, four before. */
export const isStable = (revision: string): boolean => /^v(2\.6\.\d+|[3-9]\.\d+|\d\d+\.\d+)\.\d+$/.test(revision);

/** The text read for v5.17 was that of its fifth release candidate, so its lines are not those of the release. */
export const certainLine = (revision: string, line: number | undefined): number | undefined =>
  revision === 'v5.17' ? undefined : line;

/** All 40 digits where the facts have them; anything else as it is. */
function fullSha(revision: string): string {
  if (!/^[0-9a-f]{7,39}$/.test(revision)) return revision;
  const { eras, milestones, noUnloadV2 } = loadFacts();
  const known = [
    ...eras.map(({ commit }) => commit),
    ...milestones.milestones.map(({ sha }) => sha),
    ...noUnloadV2.patches.map(({ landed }) => landed?.sha),
  ];
  return known.find((sha) => sha?.startsWith(revision)) ?? revision;
}

const commitLinks = (sha: string, name: string): Link[] => [
  { title: `${name} on git.kernel.org`, url: kernelUrl(sha) },
  { title: `${name} on GitHub`, url: githubUrl(sha) },
];

/** Every link of an era, the commit first. Throws UserError for an unknown id. */
export function links(id: string): EraLinks {
  const era = eraRecord(id);
  const found: Link[] = [];
  if (era.commit) found.push(...commitLinks(era.commit, `commit ${era.commit.slice(0, 12)}`));
  else if (era.revision?.endsWith('^')) {
    const child = era.revision.slice(0, -1);
    found.push(...commitLinks(child, `commit ${child.slice(0, 12)}, whose parent this is,`));
  } else if (era.revision) {
    found.push({ title: `${era.revision} on git.kernel.org`, url: tagUrl(era.revision) });
    found.push({ title: `${era.revision} on GitHub`, url: `${github}/tree/${era.revision}` });
    for (const release of era.releases.filter(isStable)) {
      found.push({ title: `${release} in the stable tree`, url: `${stableTree}/tag/?h=${release}` });
    }
  }
  if (era.patch) found.push({ title: 'patch mail', url: loreUrl(era.patch) });
  if (era.cover) found.push({ title: 'cover letter', url: loreUrl(era.cover) });
  if (era.status !== 'proposed') return { era: id, links: found, patches: [] };
  const { patches, earlier } = loadFacts().noUnloadV2;
  found.push(...earlier.map(({ title, messageId }) => ({ title, url: loreUrl(messageId) })));
  return {
    era: id,
    links: found,
    patches: patches.map(({ number, subject, outcome, messageId, discussion, landed }) => ({
      number,
      subject,
      outcome: landed ? `${outcome}, ${landed.release}` : outcome,
      links: [
        { title: 'patch mail', url: loreUrl(messageId) },
        ...discussion.map((reply) => ({ title: 'discussion', url: loreUrl(reply) })),
        ...(landed ? commitLinks(landed.sha, `commit ${landed.sha.slice(0, 12)}`) : []),
      ],
    })),
  };
}

const tagUrl = (tag: string): string =>
  `https://git.kernel.org/pub/scm/linux/kernel/git/torvalds/linux.git/tag/?h=${tag}`;
