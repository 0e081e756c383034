// SPDX-License-Identifier: GPL-2.0-only
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import type { MmuImplementation, MmuKind } from '../era.ts';
import { UserError } from '../errors.ts';
import { resolvePort } from '../replay/every-port.ts';
import type { HostOptions } from '../replay/host.ts';
import { isAvailable } from '../replay/record.ts';
import { replay } from '../replay/run.ts';
import { bundledWorkloads, loadWorkload } from '../workload/bundled.ts';
import type { Workload } from '../workload/ops.ts';
import { readOpsFile } from '../workload/read.ts';
import { compareRun, type GroupResults } from './compare.ts';
import type { Replayed } from './fields.ts';
import { Observer } from './observer.ts';
import type { Recording } from './recording.ts';
import { type Chance, findRelease, releaseOf } from './releases.ts';

/** One recorded run against its era. */
export interface ParityRun {
  readonly release: string;
  readonly mode: string;
  readonly workload: string;
  readonly era: string;
  readonly groups: GroupResults;
  /** Fields that this kernel has no tracepoint for: they are in no comparison. */
  readonly untraced: readonly string[];
  /** What of this run's recording is chance. */
  readonly chance: readonly Chance[];
  /** Why the replay ended before the workload did, null when it did not. */
  readonly stopped: string | null;
}

export interface ParityOptions {
  /** An era expression, or null: the era of the recording's release. */
  readonly era: string | null;
  /** Folder with the .ops of workloads that are not bundled. */
  readonly ops: string | null;
}

/** One comparison of many, in a form that can be sent to a thread. */
export interface ParityTask {
  readonly recording: Recording;
  readonly options: ParityOptions;
}

export const performParity = ({ recording, options }: ParityTask): ParityRun => parityRun(recording, options);

/** Replays the workload of a recording under the release's era, on a machine like the recording's, and compares. */
export function parityRun(recording: Recording, options: ParityOptions): ParityRun {
  const { release, mode, workload: name } = recording;
  const known = options.era === null ? releaseOf(release) : findRelease(release);
  const era = resolvePort(options.era ?? known!.era);
  const observer = new Observer(
    era.roleWords.map((word) => word.name),
    known?.inlined ?? [],
  );
  const result = replay(era, workloadOf(name, options.ops), {
    ...hostOf(recording),
    observer,
    differences: known?.era === era.id ? known.differences.map((each) => each.name) : [],
  });
  if (!isAvailable(result)) {
    throw new UserError({ place: `${release} ${mode}`, found: result.unavailable, expected: `a mode of ${era.id}` });
  }
  const phases = new Map<string, Replayed>();
  for (const phase of result.phases) {
    phases.set(phase.name, { counts: phase.counts, observed: observer.of(phase.name) });
  }
  const run = {
    total: { counts: result.total, observed: observer.total },
    phases,
    entries: observer.entries,
    pageRoles: observer.pageRoles,
    faults: observer.faults,
  };
  const untraced = known?.untraced ?? [];
  return {
    release,
    mode,
    workload: name,
    era: era.id,
    groups: compareRun(recording, run, { era, faultCodeBits: known?.fault_code_bits ?? 64, untraced }),
    untraced,
    chance: (known?.chance ?? []).filter((each) => each.mode === mode && (each.workload ?? name) === name),
    stopped: stoppedText(result.stopped),
  };
}

const stoppedText = (stopped: { line: number; reason: string } | null): string | null =>
  stopped && `line ${stopped.line}: ${stopped.reason}`;

function workloadOf(name: string, ops: string | null): Workload {
  if (ops !== null) {
    const file = join(ops, `${name}.ops`);
    if (existsSync(file)) return readOpsFile(file);
  }
  if (bundledWorkloads().some((bundled) => bundled.name === name)) return loadWorkload(name);
  throw new UserError({
    place: name,
    found: 'a recording of a workload that is not bundled',
    expected: `${name}.ops in the folder that --ops names`,
  });
}

const modePattern = /^(npt|shadow|ept)(?:-(legacy|tdpmmu|shadow))?(?:-la57)?$/;

/** The machine: kind of MMU from the mode's name, which MMU from it or the module's parameter, the CPU from run-info.txt. */
function hostOf({ mode, runInfo, release }: Recording): HostOptions {
  const match = modePattern.exec(mode);
  if (!match) {
    throw new UserError({
      place: `${release}/${mode}`,
      found: 'a mode that is none',
      expected: 'npt, npt-legacy, npt-tdpmmu, shadow, ept or ept-shadow, with -la57 on 5-level machines',
    });
  }
  const [, kind, variant] = match;
  const intel = kind === 'ept';
  const shadow = kind === 'shadow' || variant === 'shadow';
  return {
    kind: shadow ? 'shadow' : (kind as MmuKind),
    implementation: shadow ? 'legacy' : implementationOf(variant, runInfo.parameters.get('kvm.tdp_mmu')),
    vendor: intel ? 'vmx' : 'svm',
    cpuid: runInfo.cpuid,
    // Recordings on anything but QEMU's software CPU say so.
    emulator: runInfo.parameters.get('emulator')?.startsWith('Bochs') ? 'bochs' : 'tcg',
  };
}

/** Kernels without the parameter have the older MMU alone. */
function implementationOf(variant: string | undefined, parameter: string | undefined): MmuImplementation {
  if (variant === 'legacy') return 'legacy';
  if (variant === 'tdpmmu') return 'tdp-mmu';
  return parameter === 'Y' ? 'tdp-mmu' : 'legacy';
}
