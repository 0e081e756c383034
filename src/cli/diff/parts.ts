// SPDX-License-Identifier: GPL-2.0-only
import { UserError } from '../../errors.ts';
import { type EraRecord, eraRecord } from '../../facts/index.ts';
import { checkDeclared, portPart } from '../../upstream/port-part.ts';
import type { UpstreamSource } from '../../upstream/source.ts';
import { type Elsewhere, eraOf, eraRevision, type Subject, subjectOf } from '../../upstream/subject.ts';
import { subjectLinks, upstreamPart } from '../../upstream/upstream-part.ts';
import type { DiffChoice, DiffPart } from '../../upstream/view.ts';
import type { exit } from '../exit.ts';

/** What the command line asks for. */
export interface DiffRequest {
  readonly what: string;
  readonly other: string | undefined;
  readonly at: Elsewhere;
  /** With two eras, the kernel's diff. */
  readonly upstream: boolean;
  /** Upstream and ports next to each other, where there are both. */
  readonly both: boolean;
  readonly choice: DiffChoice;
}

/** The diffs to show, the exit code by name, and what to tell the user beside them. */
export interface DiffAnswer {
  readonly parts: readonly DiffPart[];
  readonly code: keyof typeof exit;
  readonly note: string;
}

/** Gathers the diffs. Throws UserError for what is neither era nor commit, and for what the source does not have. */
export async function partsOf(source: UpstreamSource | null, request: DiffRequest): Promise<DiffAnswer> {
  const { what, other, both, choice } = request;
  if (other !== undefined) return await pairOf(source, request, what, other);
  const subject = subjectOf(what, request.at);
  const ports = both ? portStep(subject) : null;
  const port = ports && (await portPart(...ports, choice));
  if (!source) {
    const note = 'no clone or capsule: the upstream diff is left out (--repo, --capsule, or mmu-eras upstream sync)';
    if (port) return { parts: [{ ...port, links: subjectLinks(subject) }], code: 'ok', note };
    return { parts: [withoutSource(subject)], code: 'failed', note };
  }
  const parts = [await upstreamPart(source, subject, choice), ...(port ? [port] : [])];
  return { parts, code: 'ok', note: noteOf(parts, choice) };
}

async function pairOf(
  source: UpstreamSource | null,
  request: DiffRequest,
  what: string,
  other: string,
): Promise<DiffAnswer> {
  const [before, after] = [eraOf(what), eraOf(other)];
  const wantsPorts = before !== null && after !== null && !request.upstream;
  const parts: DiffPart[] = [];
  if (!wantsPorts || (request.both && source && revisionOf(before, request) && revisionOf(after, request))) {
    if (!source) throw noSource(`diff ${what} ${other}`);
    const from = before ? eraRevision(before, request.at) : what;
    const to = after ? eraRevision(after, request.at) : other;
    const subject: Subject = {
      kind: 'range',
      name: `${what}..${other}`,
      era: null,
      milestone: null,
      sha: null,
      from,
      to,
    };
    parts.push(await upstreamPart(source, subject, request.choice));
  }
  if (wantsPorts) {
    const { definition } = request.choice;
    if (definition !== undefined && parts.length === 0) checkDeclared(before, after, definition);
    parts.push(await portPart(before, after, request.choice));
  }
  const code = parts.some(({ files }) => files.length > 0) ? 'differs' : 'ok';
  return { parts, code, note: noteOf(parts, request.choice) };
}

const revisionOf = (era: EraRecord, { at }: DiffRequest): string | null => at.get(era.id) ?? era.revision;

/** The two ports between which the change of an era lies: the code just before it where that is an era. */
function portStep({ era }: Subject): [EraRecord, EraRecord] | null {
  const previous = era?.before?.era ?? era?.previous;
  if (!era?.snapshot || !previous) return null;
  const before = eraRecord(previous);
  return before.snapshot ? [before, era] : null;
}

/** Without any source: what is known of the change, where it can be read, and how to get it here. */
function withoutSource(subject: Subject): DiffPart {
  const what = subject.era?.subject ?? subject.milestone?.subject ?? subject.era?.title;
  const known = what !== undefined || subject.sha !== null;
  const { sha } = subject;
  const ports = portStep(subject);
  const ways: [string, string][] = [];
  if (sha) ways.push(['Read it', `curl -sL https://github.com/torvalds/linux/commit/${sha}.diff`]);
  const sync = `mmu-eras upstream sync${known ? '' : ` --also ${subject.name}`}`;
  ways.push(['Have it', `${sync} && mmu-eras diff ${subject.name}`]);
  const title = `${subject.name}: ${what ?? (known ? 'a patch of no-unload-v2 that landed' : 'a commit that the facts do not name')}`;
  if (ports) ways.push(['In our ports', `mmu-eras diff ${ports[0].id} ${ports[1].id}`]);
  return { kind: 'upstream', title, facts: ways, links: subjectLinks(subject), files: [] };
}

function noSource(place: string): UserError {
  return new UserError({
    place,
    found: 'no clone and no capsule',
    expected: '--repo DIR or --capsule FILE',
    suggestion: 'mmu-eras upstream sync, which makes a small clone that is found by itself',
  });
}

/** Why nothing is shown, when nothing is. */
function noteOf(parts: readonly DiffPart[], { paths, definition }: DiffChoice): string {
  const empty = parts.filter(({ files }) => files.length === 0);
  if (empty.length === 0) return '';
  const within = [...(definition === undefined ? [] : [definition]), ...paths].join(', ');
  return empty.map(({ title }) => `${title}: no change${within === '' ? '' : ` in ${within}`}`).join('\n');
}
