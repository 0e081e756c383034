// SPDX-License-Identifier: GPL-2.0-only
import type { Workload } from '../workload/ops.ts';
import { resolvePort } from './every-port.ts';
import type { HostOptions } from './host.ts';
import type { ReplayResult } from './record.ts';
import { replay } from './run.ts';

/** One replay of many, in a form that can be sent to a thread. */
export interface ReplayTask {
  readonly workload: Workload;
  readonly era: string;
  readonly host: HostOptions;
}

export const performReplay = ({ workload, era, host }: ReplayTask): ReplayResult =>
  replay(resolvePort(era), workload, host);
