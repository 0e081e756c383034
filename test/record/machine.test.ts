// SPDX-License-Identifier: GPL-2.0-only
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { readCpio, writeCpio } from '../../src/record/machine/cpio.ts';
import { guestCpuid } from '../../src/record/machine/cpuid.ts';
import { needsInterpreter } from '../../src/record/machine/initramfs.ts';
import { dependencies, modulesFor, openKernel } from '../../src/record/machine/kernel-package.ts';
import { loadedMode } from '../../src/record/machine/loaded-mode.ts';
import { modes, moduleParameters } from '../../src/record/machine/modes.ts';
import { scriptPath } from '../../src/record/machine/monitor.ts';
import { run, runWell } from '../../src/record/machine/tools.ts';
import { writeFiles } from '../../src/record/output.ts';

let folder = '';
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'mmu-eras-'));
});
afterEach(() => rmSync(folder, { recursive: true }));

describe('cpio', () => {
  test('an entry by hand', () => {
    const archive = writeCpio([{ name: 'init', content: Buffer.from('hello'), executable: true }]).toString('latin1');
    // inode 1, mode 0100755, no owner, one link, no time, 5 bytes, no device; a name of 5 bytes with its NUL.
    const numbers = [1, 0o100755, 0, 0, 1, 0, 5, 0, 0, 0, 0, 5, 0].map((each) => each.toString(16).padStart(8, '0'));
    // 110 + 5 bytes are padded to 116, the content to 8.
    expect(archive.slice(0, 124)).toBe(`070701${numbers.join('')}init\0\0hello\0\0\0`);
    expect(archive.slice(124)).toMatch(/^070701.{104}TRAILER!!!\0+$/);
    expect(archive.length % 4).toBe(0);
  });

  test('folders are such', () => {
    expect(writeCpio([{ name: 'bin', content: null }]).toString('latin1', 14, 22)).toBe('000041ed');
  });

  test('what was written is read', () => {
    const files = fc.dictionary(fc.stringMatching(/^[a-z]{1,9}(\/[a-z.-]{1,9})?$/), fc.uint8Array({ maxLength: 20 }));
    fc.assert(
      fc.property(files, (all) => {
        const entries = Object.entries(all).map(([name, content]) => ({ name, content }));
        const read = readCpio(writeCpio([{ name: 'folder', content: null }, ...entries]));
        expect([...read].map(([name, content]) => [name, [...content]])).toEqual(
          entries.map(({ name, content }) => [name, [...content]]),
        );
      }),
    );
  });

  test('an archive that ends early', () => {
    const archive = writeCpio([{ name: 'x', content: Buffer.alloc(100) }]);
    expect(() => readCpio(archive.subarray(0, 150))).toThrow('cpio entry x ends early');
    expect(() => readCpio(Buffer.from('nothing of the kind'))).toThrow('no cpio entry at byte 0');
  });
});

describe('a kernel and its modules', () => {
  const file = (name: string, content: string | Buffer = ''): string => {
    mkdirSync(join(folder, name, '..'), { recursive: true });
    writeFileSync(join(folder, name), content);
    return join(folder, name);
  };
  const module = (depends: string): string => `ELF…\0license=GPL\0depends=${depends}\0retpoline=Y\0`;

  test('modules in the order to load them, whatever they are compressed with', () => {
    file('boot/vmlinuz-6.1.0');
    file('lib/modules/kvm.ko', module('irqbypass'));
    file('lib/modules/kvm-amd.ko.gz', gzipSync(module('kvm,ccp')));
    file('lib/modules/irqbypass.ko', module(''));
    file('lib/modules/ccp.ko', module(''));
    const kernel = openKernel([folder], folder);
    expect(kernel.image).toBe(join(folder, 'boot/vmlinuz-6.1.0'));
    const modules = modulesFor(kernel, 'kvm_amd');
    expect([...modules.keys()]).toEqual(['irqbypass', 'kvm', 'ccp', 'kvm_amd']);
    expect(modules.get('kvm_amd')?.toString()).toContain('depends=kvm,ccp');
  });

  test('a module that is not there', () => {
    file('vmlinuz');
    file('kvm-amd.ko', module('kvm'));
    expect(() => modulesFor(openKernel([folder], folder), 'kvm_amd')).toThrow(
      /no module kvm with this kernel[\s\S]*kvm\.ko, which kvm_amd needs[\s\S]*linux-modules package/,
    );
  });

  test('no kernel, two kernels, no folder', () => {
    expect(() => openKernel([folder], folder)).toThrow(/no vmlinuz in it[\s\S]*try: apt-get download linux-image/);
    file('vmlinuz-6.1.0');
    file('vmlinuz-6.12.0');
    expect(() => openKernel([folder], folder)).toThrow('2 kernels: vmlinuz-6.1.0 vmlinuz-6.12.0');
    expect(() => openKernel([join(folder, 'nowhere')], folder)).toThrow('nowhere: no such file or folder');
  });

  test('what modules depend on', () => {
    expect(dependencies(Buffer.from(module('kvm,snd-hda')))).toEqual(['kvm', 'snd_hda']);
    expect(dependencies(Buffer.from(module('')))).toEqual([]);
    expect(dependencies(Buffer.from('no such line'))).toEqual([]);
  });
});

test('how modules are loaded for a mode', () => {
  expect(moduleParameters(modes.npt)).toEqual({ kvm: '', vendor: 'npt=1 nested=1' });
  expect(moduleParameters(modes['npt-legacy'])).toEqual({ kvm: 'tdp_mmu=0', vendor: 'npt=1 nested=1' });
  expect(moduleParameters(modes['npt-tdpmmu'])).toEqual({ kvm: 'tdp_mmu=1', vendor: 'npt=1 nested=1' });
  expect(moduleParameters(modes['shadow-la57'])).toEqual({ kvm: '', vendor: 'npt=0 nested=1' });
  expect(moduleParameters(modes['ept-shadow'])).toEqual({ kvm: '', vendor: 'ept=0 nested=0' });
});

describe('how KVM is loaded on this machine', () => {
  const system = (flags: string, parameters: Record<string, string>) => {
    for (const [name, value] of Object.entries(parameters)) {
      const [module, parameter] = name.split('.');
      mkdirSync(join(folder, module!, 'parameters'), { recursive: true });
      writeFileSync(join(folder, module!, 'parameters', parameter!), `${value}\n`);
    }
    writeFileSync(join(folder, 'cpuinfo'), `processor\t: 0\nflags\t\t: fpu ${flags} nx\n`);
    return { modules: folder, cpuinfo: join(folder, 'cpuinfo') };
  };

  test('its name, with and without a mode asked for', () => {
    const amd = system('svm', { 'kvm_amd.npt': 'Y', 'kvm.tdp_mmu': 'N' });
    expect(loadedMode(undefined, amd)).toBe('npt');
    expect(loadedMode('npt', amd)).toBe('npt');
    expect(loadedMode('npt-legacy', amd)).toBe('npt-legacy');
    expect(() => loadedMode('npt-tdpmmu', amd)).toThrow('modprobe kvm tdp_mmu=1; modprobe kvm_amd npt=1 nested=1');
    expect(() => loadedMode('shadow', amd)).toThrow(
      /--mode shadow: KVM is loaded as in mode npt here[\s\S]*modprobe -r kvm_amd kvm; modprobe kvm; modprobe kvm_amd npt=0/,
    );
  });

  test('Intel, 5-level paging', () => {
    const intel = system('vmx la57', { 'kvm_intel.ept': 'N' });
    expect(loadedMode(undefined, intel)).toBe('ept-shadow-la57');
    expect(() => loadedMode('ept-shadow', intel)).toThrow('KVM is loaded as in mode ept-shadow-la57 here');
  });

  test('not at all', () => {
    expect(() => loadedMode(undefined, system('', {}))).toThrow('neither kvm_amd nor kvm_intel is loaded');
  });
});

test('what a CPU offers, from its leaves', () => {
  // Leaf 1: ECX bit 17; leaf 7: EBX bits 7 and 20, ECX bit 16; 0x80000001: EDX bits 20 and 29, ECX bit 2; 48 address bits.
  const leaves = ['1 0 0 0 20000 0', '7 0 0 100080 10000 0', '7 1 0 ffffffff ffffffff 0', '80000001 0 0 0 4 20100000'];
  expect(guestCpuid([...leaves, '80000008 0 3030 0 0 0', ''].join('\n'))).toBe(
    'pcid=1 smep=1 smap=1 invpcid=0 pku=0 la57=1 umip=0 nx=1 gbpages=0 lm=1 svm=1 maxphyaddr=48',
  );
});

test('programs that need a dynamic linker, and one that does not', () => {
  const elf = (...types: number[]): Buffer => {
    const bytes = Buffer.alloc(64 + 56 * types.length);
    bytes.writeBigUInt64LE(64n, 32);
    bytes.writeUInt16LE(56, 54);
    bytes.writeUInt16LE(types.length, 56);
    types.forEach((type, i) => {
      bytes.writeUInt32LE(type, 64 + 56 * i);
    });
    return bytes;
  };
  expect(needsInterpreter(elf(6, 3, 1, 2))).toBe(true);
  expect(needsInterpreter(elf(1, 1, 4))).toBe(false);
  expect(needsInterpreter(readFileSync(process.execPath))).toBe(true);
});

describe('tools', () => {
  const none = { command: 'mmu-eras-has-no-such-tool', package: 'some-package' };

  test('one that is not there is named with its package', () => {
    expect(() => run(none, [])).toThrow(/no such program[\s\S]*try: apt-get install some-package/);
  });

  test('one that fails tells what it said', () => {
    const shell = { command: 'sh', package: 'dash' };
    expect(() => runWell(shell, ['-c', 'echo why >&2; exit 3'], 'do it')).toThrow(/sh: cannot do it:\n {4}why/);
    expect(runWell(shell, ['-c', 'echo out'], 'do it').toString()).toBe('out\n');
  });
});

test('scripts are shells that parse', () => {
  for (const name of ['init.sh', 'trace-guests.sh'] as const) {
    const { status, stderr } = spawnSync('sh', ['-n', scriptPath(name)], { encoding: 'utf8' });
    expect({ name, status, stderr }).toEqual({ name, status: 0, stderr: '' });
  }
});

const compiler = spawnSync('cc', ['--version']).error === undefined;
test.skipIf(!compiler || !existsSync('/usr/include/linux/kvm.h'))(
  'the monitor compiles without a warning (skipped without a C compiler and the headers of Linux)',
  () => {
    const args = ['-O2', '-Wall', '-Wextra', '-Werror', '-o', join(folder, 'monitor'), scriptPath('monitor.c')];
    const { status, stderr } = spawnSync('cc', args, { encoding: 'utf8' });
    expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
    const usage = spawnSync(join(folder, 'monitor'), [], { encoding: 'utf8' });
    expect(usage).toMatchObject({ status: 2, stderr: expect.stringContaining('usage: monitor run IMAGE PHASES') });
  },
);

test('a folder that cannot be written', () => {
  writeFileSync(join(folder, 'file'), '');
  expect(() => writeFiles(join(folder, 'file'), new Map([['x', '']]))).toThrow(/cannot be written \(EEXIST\)/);
  expect(writeFiles(join(folder, 'new'), new Map([['a/b', 'c']]))).toEqual([join(folder, 'new/a/b')]);
  expect(readFileSync(join(folder, 'new/a/b'), 'utf8')).toBe('c');
});
