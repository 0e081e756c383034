// SPDX-License-Identifier: GPL-2.0-only
import { gzipSync } from 'node:zlib';
import { UserError } from '../errors.ts';
import type { BootImage } from './guest/image.ts';
import { abiOf } from './kernel/abi.ts';
import { Btf } from './kernel/btf.ts';
import { findSymbols, type Probes, probesFor } from './kernel/probes.ts';
import { guestCpuid } from './machine/cpuid.ts';
import type { Host, Survey, Traced } from './machine/host.ts';
import type { ModeName } from './machine/modes.ts';
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

/** Runs the images on the host and counts what KVM did. `tell` hears of every stage. */
export function record(
  images: readonly BootImage[],
  host: Host,
  mode: ModeName,
  tell: (line: string) => void,
): Recorded {
  tell('reading the struct layouts of the kernel');
  const survey = host.survey();
  const abi = abiOf(typesOf(survey));
  if (abi.offsets['vcpu.mmu'] === undefined || abi.base.length === 0) {
    throw new UserError({ place: 'BTF', found: 'no struct kvm_vcpu and kvm_mmu_page_role', expected: 'types of KVM' });
  }
  const probes = probesFor(abi, findSymbols(survey.kallsyms));
  tell(`running ${images.map(({ name }) => name).join(' ')}`);
  const traced = host.trace(inputOf(images, probes));
  const folder = `${traced.release}/${mode}`;
  const files = new Map<string, string | Uint8Array>();
  const truths: string[] = [];
  const failures: string[] = [];
  for (const { name, phases } of images) {
    const output = (kind: string): Buffer | undefined => traced.output.get(`${name}.${kind}`);
    const trace = output('trace') ?? Buffer.alloc(0);
    files.set(`${folder}/${name}.trace.gz`, gzipSync(trace, { level: 9 }));
    const memory = output('memory');
    const status = output('status')?.toString().trim();
    if (status !== '0' || !memory) {
      failures.push(`${name}: ${failure(status, output('log')?.toString() ?? '')}`);
      continue;
    }
    const place = `${folder}/${name}.trace`;
    const histogram = output('hist')?.toString('latin1') ?? '';
    const truth = truthOf({ place, trace: trace.toString('latin1'), histogram }, abi);
    files.set(`${folder}/${name}.truth.json`, truthJson(truth));
    files.set(`${folder}/${name}.faults.json`, `${JSON.stringify(guestFaults(memory, phases))}\n`);
    truths.push(`${folder}/${name}.truth.json`);
  }
  files.set(`${folder}/run-info.txt`, runInfo(host, traced));
  files.set(`${traced.release}/abi.json`, abiJson(abi, probes, survey));
  files.set(`${traced.release}/probes.txt`, `${[...probes.kprobes, probes.eventProbe].join('\n')}\n`);
  files.set(`${traced.release}/version`, traced.version);
  return { files, truths, failures };
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
  return new Map<string, Uint8Array | string>([
    ['probes', lines(kprobes)],
    ['eprobe', lines([eventProbe])],
    ['events', lines(events)],
    ...images.flatMap(({ name, memory, phases }) => [
      [`${name}.img`, memory] as const,
      [`${name}.phases`, lines(phases)] as const,
    ]),
  ]);
}

/** `timeout` of coreutils ends with 124 when it had to stop the program, that of busybox with 143. */
const failure = (status: string | undefined, log: string): string =>
  status === '124' || status === '143' ? 'the guest did not end in time' : log.trim() || `no result (status ${status})`;

function runInfo({ about }: Host, { cpuid, parameters, output }: Traced): string {
  const refused = output.get('refused')?.toString('latin1') ?? '';
  return `${about}\nguest_cpuid: ${guestCpuid(cpuid)}\n${parameters}probe definitions refused:\n${refused}`;
}

function abiJson({ offsets, layouts }: ReturnType<typeof abiOf>, { missing }: Probes, { btf }: Survey): string {
  const content = { offsets, missing_symbols: missing, module_btf: btf.kvm !== null, layouts };
  return `${JSON.stringify(content, null, 1)}\n`;
}
