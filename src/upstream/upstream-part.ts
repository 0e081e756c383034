// SPDX-License-Identifier: GPL-2.0-only
import { UserError } from '../errors.ts';
import { githubUrl, kernelUrl, type Link, links, loreUrl } from '../facts/index.ts';
import { type Cut, cutTo } from './cut.ts';
import { parsePatch } from './patch.ts';
import { isPortFile } from './port-part.ts';
import type { UpstreamSource } from './source.ts';
import type { Subject } from './subject.ts';
import type { DiffChoice, DiffPart } from './view.ts';

/** The kernel's change: of one commit, or up to a release. Throws UserError for what the source does not have. */
export async function upstreamPart(source: UpstreamSource, subject: Subject, choice: DiffChoice): Promise<DiffPart> {
  const paths = choice.paths.filter((path) => !isPortFile(path));
  const [from, to] = await ends(source, subject);
  const text = subject.kind === 'commit' ? await source.diff(to, paths) : await source.diffBetween(from!, to, paths);
  const side = async (revision: string | null, path: string | null): Promise<string | null> =>
    revision === null || path === null ? null : await source.readFile(revision, path);
  const cut = await cutTo(parsePatch(text), choice.definition, async (file) => ({
    before: await side(from, file.oldPath),
    after: await side(to, file.newPath),
  }));
  await checkNames(cut, choice, paths, source, [from, to]);
  const info = (await source.commitInfo(to))!;
  const facts: [string, string][] =
    subject.kind === 'range'
      ? [
          ['From', `${from} (${subject.from})`],
          ['To', `${to} (${subject.to})`],
        ]
      : [
          ['Author', `${info.author} <${info.authorEmail}>`],
          ['Date', info.authorDate],
        ];
  return {
    kind: 'upstream',
    title: subject.kind === 'range' ? `${subject.from}..${subject.to}` : `commit ${to}`,
    facts: subject.kind === 'range' ? facts : [...facts, ['Subject', info.subject]],
    links: subjectLinks(subject),
    files: cut.files,
  };
}

/** Full ids of both ends; null before a first commit. */
async function ends(source: UpstreamSource, subject: Subject): Promise<[string | null, string]> {
  const id = async (revision: string): Promise<string> => {
    const found = await source.resolve(revision);
    if (found === null) throw await source.missing(revision);
    return found;
  };
  if (subject.kind === 'range') return [await id(subject.from), await id(subject.to)];
  const to = await id(subject.revision);
  return [(await source.commitInfo(to))!.parents[0] ?? null, to];
}

/** A path that is on neither side, or a definition that no changed file has, is more likely a slip than a wish. */
async function checkNames(
  cut: Cut,
  { definition }: DiffChoice,
  paths: readonly string[],
  source: UpstreamSource,
  revisions: readonly (string | null)[],
): Promise<void> {
  if (cut.files.length > 0) return;
  for (const path of paths) {
    let known = false;
    for (const revision of revisions) {
      if (revision === null || known) continue;
      known = (await source.readFile(revision, path)) !== null || (await source.listFiles(revision, path)).length > 0;
    }
    if (!known) {
      throw new UserError({
        place: `--path ${path}`,
        found: 'no such file or folder, before or after the change',
        expected: 'a path from the top of the kernel tree, such as arch/x86/kvm/mmu/mmu.c, or a file of a port',
      });
    }
  }
  if (definition !== undefined && !cut.defined) {
    throw new UserError({
      place: `--function ${definition}`,
      found: 'no changed file defines it, before or after the change',
      expected: 'a function, macro, union or struct of a file that the commit changes',
      suggestion: 'the same command with --stat, which lists the files',
    });
  }
}

/** Addresses of a subject: the commit, its mail; of a release those of its era. */
export function subjectLinks(subject: Subject): Link[] {
  if (subject.era && subject.kind === 'range') return [...links(subject.era.id).links];
  const { sha } = subject;
  const mail = subject.era?.patch ?? subject.milestone?.message_id;
  return [
    ...(sha
      ? [
          { title: 'git.kernel.org', url: kernelUrl(sha) },
          { title: 'GitHub', url: githubUrl(sha) },
        ]
      : []),
    ...(mail ? [{ title: 'mail', url: loreUrl(mail) }] : []),
  ];
}
