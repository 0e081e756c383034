// SPDX-License-Identifier: GPL-2.0-only
/** What threads can be asked to do, by name; `threads` takes this file as its script. */
import { type ParityRun, type ParityTask, performParity } from '../parity/run.ts';
import type { ReplayResult } from '../replay/record.ts';
import { performReplay, type ReplayTask } from '../replay/task.ts';
import { type CellResult, type CellTask, runCell } from '../sweep/cell.ts';
import { type Answer, answer } from './answer.ts';

export const cell = (task: CellTask): Promise<Answer<CellResult>> => answer(() => runCell(task));
export const replay = (task: ReplayTask): Promise<Answer<ReplayResult>> => answer(() => performReplay(task));
export const parity = (task: ParityTask): Promise<Answer<ParityRun>> => answer(() => performParity(task));
