// SPDX-License-Identifier: GPL-2.0-only
import { fileURLToPath } from 'node:url';
import { gatherParity, type ParityModel } from '../../src/parity/model.ts';
import { findRecordings } from '../../src/parity/recording.ts';

/** Folder with one folder a recorded kernel. */
export const recordingsFolder = fileURLToPath(new URL('recordings', import.meta.url));

/** Workloads that are not bundled. */
const opsFolder = fileURLToPath(new URL('../workloads-uses', import.meta.url));

let model: ParityModel | undefined;

/** Every recording against the era of its release; computed once. */
export function everyRun(): ParityModel {
  model ??= gatherParity(findRecordings([recordingsFolder]), { era: null, ops: opsFolder });
  return model;
}
