// SPDX-License-Identifier: GPL-2.0-only
import { githubUrl, kernelUrl, type Link, loadFacts, loreUrl } from '../facts/index.ts';

/** Where a commit can be read: git.kernel.org, GitHub, and its mail where the facts know it. */
export function commitLinks(sha: string): Link[] {
  const mail = loadFacts().milestones.milestones.find((one) => one.sha.startsWith(sha) || sha.startsWith(one.sha));
  return [
    { title: 'git.kernel.org', url: kernelUrl(sha) },
    { title: 'GitHub', url: githubUrl(sha) },
    ...(mail?.message_id ? [{ title: 'patch mail', url: loreUrl(mail.message_id) }] : []),
  ];
}
