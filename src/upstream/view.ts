// SPDX-License-Identifier: GPL-2.0-only
import { UserError } from '../errors.ts';
import { type EraRecord, githubUrl, kernelUrl, type Link, links, loreUrl } from '../facts/index.ts';
import { type Cut, cutToDefinition, type Sides } from './cut.ts';
import { type PatchFile, parsePatch } from './patch.ts';
import { normalPath } from './paths.ts';
import { portDiff, portText } from './ports.ts';
import type { UpstreamSource } from './source.ts';
import type { Subject } from './subject.ts';

/** One diff with what stands above it. */
export interface DiffPart {
  readonly kind: 'upstream' | 'port';
  readonly title: string;
  /** Author, date and the like. */
  readonly facts: readonly (readonly [name: string, value: string])[];
  readonly links: readonly Link[];
  readonly files: readonly PatchFile[];
}

/** What of a diff is wanted. */
export interface DiffChoice {
  /** Files or folders: of the kernel, and names of port files (`calc.ts`). */
  readonly paths: readonly string[];
  /** A function, union, macro, or in a port any declaration. */
  readonly definition: string | undefined;
  /** Of ports, show also the lines that differ only in the kernel they cite. */
  readonly citations: boolean;
}

/** The kernel's change: of one commit, or up to a release. Throws UserError for what the source does not have. */
export async function upstreamPart(source: UpstreamSource, subject: Subject, choice: DiffChoice): Promise<DiffPart> {
  const paths = choice.paths.filter((path) => !isPortFile(path));
  const [from, to] = await ends(source, subject);
  const text = subject.kind === 'commit' ? await source.diff(to, paths) : await source.diffBetween(from!, to, paths);
  const side = async (revision: string | null, path: string | null): Promise<string | null> =>
    revision === null || path === null ? null : await source.readFile(revision, path);
  const cut = await chosen(parsePatch(text), choice.definition, async (file) => ({
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

/** The change from one port to another. Throws UserError for an era without a port. */
export async function portPart(before: EraRecord, after: EraRecord, choice: DiffChoice): Promise<DiffPart> {
  const [old, now] = [portOf(before), portOf(after)];
  const names = choice.paths.filter(isPortFile).map(normalPath);
  const wanted = ({ oldPath, newPath }: PatchFile): boolean =>
    names.length === 0 || names.some((name) => `/${newPath ?? oldPath}`.endsWith(`/${name}`));
  const text = (port: string, path: string | null): string | null =>
    path === null ? null : portText(port, path.slice(path.lastIndexOf('/') + 1));
  const { files, citations } = portDiff(old, now, choice);
  const cut = await chosen(files.filter(wanted), choice.definition, async ({ oldPath, newPath }) => ({
    before: text(old, oldPath),
    after: text(now, newPath),
  }));
  return {
    kind: 'port',
    title: `ports ${before.id}..${after.id}`,
    facts: [
      ['From', `${before.id}: ${before.title}`],
      ['To', `${after.id}: ${after.title}`],
      ...(citations === 0
        ? []
        : [['Left out', `${citations} lines that differ only in the commit or line they cite (--citations)`] as const]),
    ],
    links: [],
    files: cut.files,
  };
}

function portOf(era: EraRecord): string {
  if (era.snapshot !== null) return era.snapshot;
  throw new UserError({ place: era.id, found: 'no port', expected: 'an era with a port', suggestion: 'mmu-eras eras' });
}

const isPortFile = (path: string): boolean => path.endsWith('.ts');

const chosen = async (
  files: readonly PatchFile[],
  definition: string | undefined,
  sidesOf: (file: PatchFile) => Promise<Sides>,
): Promise<Cut> =>
  definition === undefined ? { files, defined: true } : await cutToDefinition(files, definition, sidesOf);

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
  const sha = subject.kind === 'commit' ? (subject.era?.commit ?? subject.milestone?.sha ?? subject.revision) : '';
  const mail = subject.era?.patch ?? subject.milestone?.message_id;
  const isId = /^[0-9a-f]{7,40}$/.test(sha);
  return [
    ...(isId
      ? [
          { title: 'git.kernel.org', url: kernelUrl(sha) },
          { title: 'GitHub', url: githubUrl(sha) },
        ]
      : []),
    ...(mail ? [{ title: 'mail', url: loreUrl(mail) }] : []),
  ];
}
