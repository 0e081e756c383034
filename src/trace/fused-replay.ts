// SPDX-License-Identifier: GPL-2.0-only
import { areEqual, copyWords, stayedEqual } from '../sim/write-journal.ts';
import { FusedCpu } from './fused-cpu.ts';
import { TraceReplay, type TraceReplayOptions } from './trace-replay.ts';

interface Member {
  readonly replay: TraceReplay;
  readonly cpu: FusedCpu;
  /** Whether the event that everyone is at runs again. */
  again: boolean;
}

/** Members that hardware cannot tell apart: same tables, same registers, same translations in the TLB. */
interface Group {
  /** The first performs the accesses of all. */
  readonly members: readonly [Member, ...Member[]];
  /** Number of the next event in the piece at hand. */
  at: number;
}

/**
 * Replays one trace under several eras at once. Every era's kernel runs on its own, with its own memory; but as long as
 * what kernels do to hardware is the same, accesses and walks happen once for all of them. Kernels are compared after
 * every event that is more than an access done: what they wrote into any memory, what they asked of the CPU, and whether
 * the event runs again. Where they differ, the group parts for good.
 *
 * So each replay ends with the counts it would have alone (test/trace/fused.test.ts), and time is that of one replay, and
 * of each kernel's own work, while eras behave alike.
 */
export class FusedReplay {
  readonly replays: readonly TraceReplay[];
  #groups: Group[];

  /** The options of each replay; `tlb` and `caches` must be the same for all. */
  constructor(options: readonly Omit<TraceReplayOptions, 'makeCpu'>[]) {
    const members = options.map((each): Member => {
      let made: FusedCpu | undefined;
      const { tlb, caches } = each;
      const replay = new TraceReplay({
        ...each,
        makeCpu: (host, memory) => {
          made = new FusedCpu(host, memory, { ...(tlb ? { tlb } : {}), ...(caches ? { caches } : {}) });
          return made;
        },
      });
      return { replay, cpu: made!, again: false };
    });
    this.replays = members.map(({ replay }) => replay);
    const classes = classesOf(
      members,
      (a, b) => a.cpu.isLike(b.cpu) && a.cpu.askedLike(b.cpu) && areEqual(a.cpu.memory, b.cpu.memory),
    );
    for (const { cpu } of members) cpu.settle();
    this.#groups = classes.map((of) => settled(groupOf(of, 0)));
  }

  /** How many CPUs perform accesses now: 1 while no era has parted from the others. */
  get groups(): number {
    return this.#groups.length;
  }

  /** Replays events `from` to `to` of a piece under every era. UserError for an event that the guest cannot do. */
  run(trace: Int32Array, from: number, to: number): void {
    for (const group of this.#groups) group.at = from;
    const waiting = this.#groups;
    this.#groups = [];
    for (let group = waiting.pop(); group !== undefined; group = waiting.pop()) {
      for (const part of runTogether(group, trace, to)) (part.at < to ? waiting : this.#groups).push(part);
    }
  }
}

/** Runs a group until the piece ends or its members part. Returns what is left of it: one group, several, or none. */
function runTogether(group: Group, trace: Int32Array, to: number): Group[] {
  const { members } = group;
  const [lead] = members;
  if (members.length === 1) {
    lead.replay.run(trace, group.at, to);
    group.at = to;
    return isGoing(lead) ? [group] : [];
  }
  lead.cpu.open(trace, to);
  while (group.at < to) {
    const stopped = lead.cpu.run(group.at);
    for (const { replay } of members) replay.passed(stopped - group.at);
    group.at = stopped;
    if (stopped === to) break;
    const lo = trace[2 * stopped]!;
    const hi = trace[2 * stopped + 1]!;
    let together = true;
    for (const member of members) {
      member.again = member.replay.step(lo, hi);
      together &&= isGoing(member) && (member === lead || areAlike(member, lead));
    }
    if (!together) return part(group);
    for (const { cpu } of members) cpu.settle();
    if (!lead.again) group.at++;
  }
  return [group];
}

/** The groups that are left of one whose members came out of an event differently. Who cannot go on is in none. */
function part({ members, at }: Group): Group[] {
  const [lead] = members;
  const classes = classesOf(members.filter(isGoing), areAlike);
  const alone = members.filter((member) => !isGoing(member));
  for (const [first] of [...classes, ...alone.map((member) => [member] as const)]) {
    if (first !== lead) first.cpu.takeOver(lead.cpu);
  }
  for (const member of alone) groupOf([member], at);
  const groups = classes.map((of) => groupOf(of, of[0].again ? at : at + 1));
  for (const { cpu } of members) cpu.settle();
  return groups.map(settled);
}

/** A group after it was made and its members have settled: no other will ever join it. */
function settled(group: Group): Group {
  const [first, ...others] = group.members;
  if (others.length === 0) first.cpu.goAlone();
  return group;
}

const isGoing = ({ replay }: Member): boolean => replay.stopped === null;

const areAlike = (a: Member, b: Member): boolean =>
  a.again === b.again && a.cpu.askedLike(b.cpu) && stayedEqual(a.cpu.memory, b.cpu.memory);

/** Makes one CPU perform the accesses of all from now on. */
function groupOf(members: Group['members'], at: number): Group {
  const [{ cpu: lead }, ...others] = members;
  const spreadMarks = (): void => {
    if (lead.journal.words.length === 0) return;
    for (const { cpu } of others) {
      copyWords(lead.memory, cpu.memory);
      cpu.journal.clear();
    }
    lead.journal.clear();
  };
  for (const { cpu } of members) cpu.shared = { lead, spreadMarks };
  return { members, at };
}

/** Members by what `alike` cannot tell apart, in their order. */
function classesOf(members: readonly Member[], alike: (a: Member, b: Member) => boolean): Group['members'][] {
  const classes: [Member, ...Member[]][] = [];
  for (const member of members) {
    const found = classes.find(([first]) => alike(first, member));
    if (found) found.push(member);
    else classes.push([member]);
  }
  return classes;
}
