// SPDX-License-Identifier: GPL-2.0-only
import type { Era } from '../era.ts';
import type { RoleReads } from '../role/reads.ts';
import type { GuestCpuOptions } from '../sim/guest-cpu.ts';
import { buildImage } from '../workload/image.ts';
import { isBlock, type Op, type Workload } from '../workload/ops.ts';
import { printOp } from '../workload/print.ts';
import { compile } from '../workload/program.ts';
import { Executor } from './execute.ts';
import { Guest, GuestStopped } from './guest.ts';
import { type HostOptions, hostFor } from './host.ts';
import { buildMachine } from './machine.ts';
import { NestedStates } from './nested-state.ts';
import type { ReplayObserver } from './observe.ts';
import type { ReplayResult } from './record.ts';
import { Recorder } from './recorder.ts';

export interface ReplayOptions extends HostOptions {
  /** Notes which function reads which role field, when given. */
  readonly reads?: RoleReads;
  /** Sees calls and entries in order, when given. */
  readonly observer?: ReplayObserver;
  /** TLB and caches of every vCPU; default: those of GuestCpu. */
  readonly cpu?: GuestCpuOptions;
  /** What the kernel to replay has beyond the port, by the names in Era.differences. */
  readonly differences?: readonly string[];
}

/** Replays a workload under one era. UserError when the workload's ops do not fit together. */
export function replay(era: Era, workload: Workload, options: ReplayOptions): ReplayResult {
  const host = hostFor(era, options);
  const mode = modeName(options);
  if ('unavailable' in host) return { workload: workload.name, era: era.id, mode, unavailable: host.unavailable };
  const program = compile(workload);
  const image = buildImage(workload);
  const machine = buildMachine(era, host, image, {
    vcpus: program.vcpus,
    reads: options.reads ?? null,
    observer: options.observer,
    cpu: options.cpu,
    differences: options.differences,
  });
  const recorder = new Recorder(
    machine.vm,
    era,
    machine.vcpus.map(
      ({ cpu }) =>
        () =>
          cpu.cost(),
    ),
    { observer: options.observer ?? null },
  );
  const executor = new Executor({
    era,
    program,
    machine,
    guest: new Guest(machine, recorder, program.handlers),
    nested: new NestedStates(image),
    recorder,
    opText: opTextOf(workload),
  });
  let stopped: { line: number; reason: string } | null = null;
  try {
    executor.run();
  } catch (error) {
    if (!(error instanceof GuestStopped)) throw error;
    stopped = { line: executor.line, reason: error.message };
  }
  // Also a guest that cannot go on leaves a VM that user space ends.
  recorder.tearDown(machine.eraVm);
  return {
    workload: workload.name,
    era: era.id,
    mode,
    roleWords: era.roleWords.map(({ name }) => name),
    ...recorder.finish(),
    executed: executor.executed,
    stopped,
  };
}

/** Name of a mode as the recordings call it: `npt`, `npt-legacy`, `npt-tdp-mmu`, `shadow`, `ept` … */
export function modeName({ kind, implementation }: HostOptions): string {
  return implementation === null || kind === 'shadow' ? kind : `${kind}-${implementation}`;
}

/** Canonical text of each op by its source line. */
function opTextOf(workload: Workload): (line: number) => string {
  const texts = new Map<number, string>();
  const collect = (ops: readonly Op[]): void => {
    for (const op of ops) {
      texts.set(op.line, printOp(op));
      if (isBlock(op)) collect(op.body);
    }
  };
  collect(workload.ops);
  return (line) => texts.get(line) ?? '';
}
