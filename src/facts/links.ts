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

/** git.kernel.org in its short form, which redirects to the commit in Linus Torvalds' tree. */
export const kernelUrl = (sha: string): string => `https://git.kernel.org/linus/${sha}`;

/** The commit as a patch with its diff, in the web view of git.kernel.org. */
export const kernelPatchUrl = (sha: string): string =>
  `https://git.kernel.org/pub/scm/linux/kernel/git/torvalds/linux.git/patch/?id=${sha}`;

export const githubUrl = (sha: string): string => `${github}/commit/${sha}`;

/** lore by message-id; a slash inside the id would split the path and is written %2F. */
export const loreUrl = (messageId: string): string =>
  `https://lore.kernel.org/kvm/${messageId.replaceAll('/', '%2F')}/`;

/** One file of a revision (sha or tag), with the line where one is known. */
export const sourceUrl = (revision: string, file: string, line?: number): string =>
  `${github}/blob/${revision}/${file}${line === undefined ? '' : `#L${line}`}`;

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
