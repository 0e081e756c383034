// SPDX-License-Identifier: GPL-2.0-only
import { gzipSync } from 'node:zlib';
import { type BootImage, imageFiles } from './guest/image.ts';
import { type Abi, abiOf } from './kernel/abi.ts';
import { Btf } from './kernel/btf.ts';
import { findSymbols, type Probes, probesFor } from './kernel/probes.ts';
import { guestCpuid } from './machine/cpuid.ts';
import type { Host, Survey, Traced } from './machine/host.ts';
import { guestFaults } from './truth/guest-results.ts';
import { truthOf } from './truth/truth.ts';
import { truthJson } from './truth/truth-json.ts';

/** What recording made: files by their path in the output folder, and what became of each workload. */
export interface Recorded {
  readonly files: ReadonlyMap<string, string | Uint8Array>;
  /** Paths of the truth.json files. */
  readonly truths: readonly string[];
  /** Workloads whose guest did not reach its end, with the reason; there is a trace of them, and no truth.json. */
  readonly failures: readonly string[];
}

/** Where to record; `tell` hears of every stage. */
export interface RecordOptions {
  readonly host: Host;
  readonly tell: (line: string) => void;
}

/** Runs the images and counts what KVM did. */
export function record(images: readonly BootImage[], { host, tell }: RecordOptions): Recorded {
  tell('reading the types of the kernel');
  const survey = host.survey();
  const abi = abiOf(typesOf(survey));
  const probes = probesFor(abi, findSymbols(survey.kallsyms));
  if (probes.unseen.length > 0)
    tell(`no calls will show of ${probes.unseen.join(' ')}: no symbol, older, newer or inlined`);
  tell(`running ${images.map(({ name }) => name).join(' ')}`);
  const traced = host.trace(inputOf(images, probes));
  const refused = traced.output.get('refused')?.toString('latin1') ?? '';
  if (refused !== '') tell(`the kernel refused probes, so counts are missing:\n${refused.trimEnd()}`);
  const folder = `${traced.release}/${host.mode}`;
  const runs = images.map((image) => runOf(image, traced, { folder, abi }));
  return {
    files: new Map([
      ...runs.flatMap(({ files }) => files),
      [`${folder}/run-info.txt`, runInfo(host, traced, refused)],
      [`${traced.release}/abi.json`, abiJson(abi, probes, survey)],
      [`${traced.release}/probes.txt`, `${[...probes.kprobes, probes.eventProbe].join('\n')}\n`],
      [`${traced.release}/version`, traced.version],
    ]),
    truths: runs.flatMap(({ truth }) => truth ?? []),
    failures: runs.flatMap(({ failure }) => failure ?? []),
  };
}

/** One workload: its files by path, and the path of its truth.json or why there is none. */
interface Run {
  readonly files: readonly (readonly [path: string, content: string | Uint8Array])[];
  readonly truth?: string;
  readonly failure?: string;
}

function runOf({ name, phases }: BootImage, { output }: Traced, { folder, abi }: { folder: string; abi: Abi }): Run {
  const file = (kind: string): Buffer | undefined => output.get(`${name}.${kind}`);
  const text = (kind: string): string => file(kind)?.toString('latin1') ?? '';
  const trace = [`${folder}/${name}.trace.gz`, gzipSync(file('trace') ?? '', { level: 9 })] as const;
  const memory = file('memory');
  const status = text('status').trim();
  if (status !== '0' || !memory) return { files: [trace], failure: `${name}: ${whyNot(status, text('log'))}` };
  const input = { place: `${folder}/${name}.trace`, trace: text('trace'), histogram: text('hist') };
  const truth = `${folder}/${name}.truth.json`;
  return {
    files: [
      trace,
      [truth, truthJson(truthOf(input, abi))],
      [`${folder}/${name}.faults.json`, `${JSON.stringify(guestFaults(memory, phases))}\n`],
    ],
    truth,
  };
}

function typesOf({ btf }: Survey): Btf {
  const kernel = new Btf(btf.kernel);
  return btf.kvm ? new Btf(btf.kvm, kernel) : kernel;
}

function inputOf(
  images: readonly BootImage[],
  { kprobes, eventProbe, events }: Probes,
): Map<string, Uint8Array | string> {
  const lines = (all: readonly string[]): string => all.map((line) => `${line}\n`).join('');
  return new Map([
    ['probes', lines(kprobes)],
    ['eprobe', lines([eventProbe])],
    ['events', lines(events)],
    ...imageFiles(images),
  ]);
}

/** `timeout` of coreutils ends with 124 when it had to stop the program, that of busybox with 143. */
const whyNot = (status: string, log: string): string =>
  status === '124' || status === '143' ? 'the guest did not end in time' : log.trim() || `no result (status ${status})`;

const runInfo = ({ about }: Host, { cpuid, parameters }: Traced, refused: string): string =>
  `${about}\nguest_cpuid: ${guestCpuid(cpuid)}\n${parameters}probe definitions refused:\n${refused}`;

function abiJson({ offsets, layouts }: Abi, { missing }: Probes, { btf }: Survey): string {
  const content = { offsets, missing_symbols: missing, module_btf: btf.kvm !== null, layouts };
  return `${JSON.stringify(content, null, 1)}\n`;
}
