// SPDX-License-Identifier: GPL-2.0-only
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { recordCommand } from '../../src/cli/record.ts';
import { findRecordings } from '../../src/parity/recording.ts';
import { bootImages } from '../../src/record/guest/image.ts';
import type { Host } from '../../src/record/machine/host.ts';
import { writeFiles } from '../../src/record/output.ts';
import { record } from '../../src/record/record.ts';
import { loadWorkload } from '../../src/workload/bundled.ts';
import { runCommand } from '../cli/capture.ts';
import { btfBytes } from './btf-bytes.ts';
import { recordedTrace } from './recorded.ts';

let folder = '';
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'mmu-eras-'));
});
afterEach(() => rmSync(folder, { recursive: true }));

/** Types with the members that Linux 6.1 has, at the places it has them. */
const btf = btfBytes([
  { kind: 'int', name: 'long unsigned int', bytes: 8 },
  { kind: 'int', name: 'unsigned int', bytes: 4 },
  { kind: 'struct', name: '', bytes: 4, members: [['level', 2, 0, 4]] },
  { kind: 'union', name: 'kvm_mmu_page_role', bytes: 4, members: [['', 3, 0]] },
  {
    kind: 'struct',
    name: 'kvm_mmu',
    bytes: 136,
    members: [
      ['root_hpa', 1, 64 * 8],
      ['root_role', 4, 80 * 8],
      ['cpu_role', 1, 72 * 8],
    ],
  },
  {
    kind: 'struct',
    name: 'kvm_vcpu_arch',
    bytes: 2000,
    members: [
      ['mmu', 1, 672 * 8],
      ['root_mmu', 5, 680 * 8],
    ],
  },
  { kind: 'struct', name: 'kvm_vcpu', bytes: 2000, members: [['arch', 6, 0]] },
]);

/** A machine that ran before: it gives a recorded trace for smm-pae, and says that smm took too long. */
class PastHost implements Host {
  readonly mode = 'npt';
  readonly about = 'cpu_model=max,la57=off';
  input: ReadonlyMap<string, Uint8Array | string> = new Map();

  survey() {
    return { btf: { kernel: btf, kvm: null }, kallsyms: 'ffffffffc0000000 t svm_vcpu_run\t[kvm_amd]\n' };
  }

  trace(input: ReadonlyMap<string, Uint8Array | string>) {
    this.input = input;
    const trace = Buffer.from(recordedTrace('6.1.0-56-amd64.npt.smm-pae.trace.gz'), 'latin1');
    return {
      release: '6.1.0-56-amd64',
      version: 'Linux version 6.1.0-56-amd64\n',
      parameters: 'kvm.tdp_mmu=Y\n',
      cpuid: '7 0 0 100080 0 0\n80000008 0 28 0 0 0\n',
      output: new Map([
        ['smm-pae.trace', trace],
        ['smm-pae.memory', Buffer.alloc(0x80000)],
        ['smm-pae.status', Buffer.from('0\n')],
        ['smm-pae.hist', Buffer.from('')],
        ['smm.trace', Buffer.from('# tracer: nop\n')],
        ['smm.status', Buffer.from('143\n')],
        ['refused', Buffer.from('p:mmu_eras/x y\n')],
      ]),
    };
  }
}

test('what a machine gives becomes a recording that the comparison reads', () => {
  const host = new PastHost();
  const told: string[] = [];
  const images = bootImages(['smm-pae', 'smm'].map(loadWorkload));
  const { files, truths, failures } = record(images, { host, tell: (line) => told.push(line) });
  expect(told).toEqual([
    'reading the types of the kernel',
    expect.stringMatching(/^no calls will show of kvm_mmu_load .* svm_set_efer vmx_set_efer .*: no symbol, older/),
    'running smm-pae smm',
    'the kernel refused probes, so counts are missing:\np:mmu_eras/x y',
  ]);
  expect([...host.input.keys()].sort()).toEqual(
    ['eprobe', 'events', 'probes', 'smm-pae.img', 'smm-pae.phases', 'smm.img', 'smm.phases'].sort(),
  );
  expect(host.input.get('probes')).toBe(
    'p:mmu_eras/svm_vcpu_run kvm_amd:svm_vcpu_run vcpu=%di:x64 mmu=+672(%di):x64 hpa=+64(+672(%di)):x64 ' +
      'root_role=+80(+672(%di)):x32 cpu_role=+72(+672(%di)):x64\n',
  );
  expect(truths).toEqual(['6.1.0-56-amd64/npt/smm-pae.truth.json']);
  expect(failures).toEqual(['smm: the guest did not end in time']);
  expect([...files.keys()].sort()).toEqual(
    [
      '6.1.0-56-amd64/abi.json',
      '6.1.0-56-amd64/npt/run-info.txt',
      '6.1.0-56-amd64/npt/smm-pae.faults.json',
      '6.1.0-56-amd64/npt/smm-pae.trace.gz',
      '6.1.0-56-amd64/npt/smm-pae.truth.json',
      '6.1.0-56-amd64/npt/smm.trace.gz',
      '6.1.0-56-amd64/probes.txt',
      '6.1.0-56-amd64/version',
    ].sort(),
  );

  writeFiles(folder, files);
  const [recording] = findRecordings([folder]);
  expect(recording).toMatchObject({ release: '6.1.0-56-amd64', mode: 'npt', workload: 'smm-pae', faults: [] });
  expect(recording!.total.mmu_load).toBe(27);
  expect(recording!.runInfo.cpuid).toMatchObject({ smep: true, smap: true, pcid: false, maxPhyAddr: 40 });
  expect(recording!.runInfo.parameters.get('kvm.tdp_mmu')).toBe('Y');
  const info = readFileSync(join(folder, '6.1.0-56-amd64/npt/run-info.txt'), 'utf8');
  expect(info).toMatch(/^cpu_model=max,la57=off\nguest_cpuid: [\s\S]*probe definitions refused:\np:mmu_eras\/x y\n$/);
  const trace = gunzipSync(readFileSync(join(folder, '6.1.0-56-amd64/npt/smm.trace.gz')));
  expect(trace.toString()).toBe('# tracer: nop\n');
});

describe('the command', () => {
  test('images only: files and their paths', async () => {
    const { stdout, code } = await runCommand(recordCommand, ['smm', 'wp-toggle', '-o', folder, '--image-only']);
    expect(code).toBe(0);
    const names = ['smm.img', 'smm.phases', 'wp-toggle.img', 'wp-toggle.phases'];
    expect(stdout).toBe(names.map((name) => `${join(folder, name)}\n`).join(''));
    expect(readdirSync(folder)).toEqual(names);
    expect(readFileSync(join(folder, 'smm.img'))).toHaveLength(2 * 2 ** 20);
  });

  const fails = (...args: string[]) => expect(runCommand(recordCommand, ['smm', '-o', folder, ...args])).rejects;

  test('mistakes before anything runs', async () => {
    await fails('--via', 'qemu').toThrow(/--via qemu: no --kernel[\s\S]*try: apt-get download linux-image-amd64/);
    await fails('--via', 'kvm', '--kernel', folder).toThrow(/--via kvm: --kernel[\s\S]*the kernel that runs here/);
    await fails('--kernel', folder).toThrow('no vmlinuz in it');
    await fails('--kernel', folder, '--mode', 'ept').toThrow(/QEMU's software CPU has no VMX[\s\S]*try: --via kvm/);
    await fails('--kernel', folder, '--seconds', '0.5').toThrow('--seconds: 0.5');
    expect(readdirSync(folder)).toEqual([]);
  });

  test('an op that no guest has', async () => {
    const path = join(folder, 'model.ops');
    writeFileSync(path, 'pt A l4\nprot32\nbulk r 0x1000 4 9 seq seed=1\n');
    await expect(runCommand(recordCommand, [path, '-o', join(folder, 'out')])).rejects.toThrow(
      /model:3: "bulk" exists in the model only/,
    );
    expect(readdirSync(folder)).toEqual(['model.ops']);
  });
});
