// SPDX-License-Identifier: GPL-2.0-only
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { bootImage, bootImages, IMAGE_BYTES, imageFiles } from '../../src/record/guest/image.ts';
import { programCode } from '../../src/record/guest/program-code.ts';
import { bundledWorkloads, loadWorkload } from '../../src/workload/bundled.ts';
import { parseOps } from '../../src/workload/parse.ts';
import { compile } from '../../src/workload/program.ts';
import { workloadText } from '../workload/arbitrary.ts';

const everyOp = fileURLToPath(new URL('every-op.ops', import.meta.url));

/**
 * SHA-256 of images by the generator that made those which the recorded kernels ran: a program of its own in another language,
 * whose machine code comes from the assembler nasm.
 */
const hashes = JSON.parse(readFileSync(new URL('images.json', import.meta.url), 'utf8')) as Record<string, string>;

test('there is an independent image of every bundled workload, and of one with every op in every code width', () => {
  expect(Object.keys(hashes).sort()).toEqual([...bundledWorkloads().map(({ name }) => name), 'every-op'].sort());
});

test.each(Object.entries(hashes))(
  'the image of %s is that of the independent generator, byte for byte',
  (name, hash) => {
    const { memory } = bootImage(loadWorkload(name === 'every-op' ? everyOp : name));
    expect(memory.length).toBe(IMAGE_BYTES);
    expect(createHash('sha256').update(memory).digest('hex')).toBe(hash);
  },
);

/** Machine code of ops that follow `enterlong`, without the set-up before them. */
function codeAfter(setup: string, ops: string): string[] {
  const program = compile(parseOps(`${setup}\n${ops}`, 'hand.ops'));
  const code = programCode(program);
  const first = compile(parseOps(setup, 'hand.ops')).endAddress;
  return [...code.subarray(first - program.code.address, program.endAddress - program.code.address)].map((byte) =>
    byte.toString(16).padStart(2, '0'),
  );
}
const words = (text: string): string[] => text.trim().split(/\s+/);
const long = 'pt A l4\nident A\nmap A 0x10000000 0x400000 8 4k pw\nprot32\nenterlong A';

describe('instructions, worked out by hand from SDM vol. 2', () => {
  test('a write in 64-bit code', () => {
    // LEA RBP,[RIP+9]: to the end, 5 + 4 bytes on; MOV EDI,0x10000000; MOV BYTE [RDI+0x18],0x5a.
    expect(codeAfter(long, 'w 0x10000000')).toEqual(words('48 8d 2d 09 00 00 00  bf 00 00 00 10  c6 47 18 5a'));
  });

  test('a read at an address of the upper half', () => {
    // LEA RBP,[RIP+13]; MOV RDI,imm64; MOV AL,[RDI+0x10].
    expect(codeAfter(long, 'r 0xffff800000000000')).toEqual(
      words('48 8d 2d 0d 00 00 00  48 bf 00 00 00 00 00 80 ff ff  8a 47 10'),
    );
  });

  test('CR0.WP off', () => {
    // CR0 = PG | ET | PE: MOV EAX,0x80000011 (zero-extended); MOV CR0,RAX.
    expect(codeAfter(long, 'cr0 -WP')).toEqual(words('48 8d 2d 08 00 00 00  b8 11 00 00 80  0f 22 c0'));
  });

  test('a CR3 write that flushes nothing', () => {
    // MOV RAX,0x8000000000100003: tree A at 0x100000, PCID 3, bit 63.
    expect(codeAfter(long, 'cr3 A pcid=3 noflush')).toEqual(
      words('48 8d 2d 0d 00 00 00  48 b8 03 00 10 00 00 00 00 80  0f 22 d8'),
    );
  });

  test('a loop: count in memory, jump back over 20 bytes', () => {
    // MOV QWORD [0x600],3; CLAC behind LEA RBP,[RIP+3]; DEC QWORD [0x600]; JNZ -(10 + 8 + 6).
    expect(codeAfter(long, 'repeat 3\nclac\nend')).toEqual(
      words(
        '48 c7 04 25 00 06 00 00 03 00 00 00  48 8d 2d 03 00 00 00 0f 01 ca  48 ff 0c 25 00 06 00 00  0f 85 e8 ff ff ff',
      ),
    );
  });

  test('real mode has prefixes for 32-bit operands and addresses, and no place to go on at', () => {
    // Behind the markers of a phase: MOV DX,0x510; MOV EAX,1; OUT DX,EAX; MOV EDI,0x5000; MOV AL,[EDI+0x10].
    expect(codeAfter('pt A l4', 'phase one\nr 0x5000')).toEqual(
      words('ba 10 05  66 b8 01 00 00 00  66 ef  66 bf 00 50 00 00  67 8a 47 10'),
    );
  });
});

test('any workload of ops with machine code has code of the lengths that the compiled program says', () => {
  const modelOnly = /^\s*(vcpus|vmcs|bulk|vmentry|memslot|vmcbset)\b/;
  fc.assert(
    fc.property(workloadText, (text) => {
      const lines = text.split('\n');
      const [on, off] = ['on 1', 'endon'].map((word) => lines.findIndex((line) => line.trim().startsWith(word)));
      const kept = lines.filter((line, i) => (i < on! || i > off!) && !modelOnly.test(line));
      const program = compile(parseOps(kept.join('\n'), 'any.ops'));
      expect(programCode(program)).toHaveLength(program.code.bytes);
    }),
    { numRuns: 60 },
  );
});

describe('what a real guest cannot have', () => {
  const imageOf = (text: string) => () => bootImage(parseOps(text, 'bad.ops'));

  test('ops of the model', () => {
    expect(imageOf('pt A l4\nprot32\nrepeat 2\nbulk r 0x1000 4 9 seq seed=1\nend')).toThrow(
      /bad:4: "bulk" exists in the model only[\s\S]*expected: ops that docs\/ops.md has without \+/,
    );
    expect(imageOf('vcpus 2')).toThrow('bad:1: "vcpus" exists in the model only: the monitor has one vCPU');
    expect(imageOf('memslot move')).toThrow('bad:1: "memslot" exists in the model only: it is an event of the host');
  });

  test('a VMCB over something else', () => {
    for (const address of ['0x8000', '0x40000', '0x44000', '0x49000', '0x5f000']) {
      expect(imageOf(`pt A l4\nvmcb V ${address} A - 1`)).toThrow(
        `a VMCB at ${address}, where the guest has other things`,
      );
    }
    for (const address of ['0x41000', '0x47000', '0x4f000', '0xff000']) {
      expect(imageOf(`pt A l4\nvmcb V ${address} A - 1`)().memory).toHaveLength(IMAGE_BYTES);
    }
  });

  test('two VMCBs on one page', () => {
    expect(imageOf('pt A l4\nvmcb V 0x41000 A - 1\nvmcb W 0x41000 A - 2')).toThrow('bad:3: a second VMCB at 0x41000');
  });

  test('a 4-byte store of more', () => {
    expect(imageOf('pt A l4\nident A\nvmcb V 0x41000 A - 1\nprot32\nenterlong A\nvmcbset V 0 4 0x100000000')).toThrow(
      'bad:6: a 4-byte store of more than 32 bits',
    );
  });

  test('real-mode code out of reach', () => {
    const many = Array.from({ length: 3300 }, () => 'r 0x5000').join('\n');
    expect(imageOf(many)).toThrow(/bad:\d+: real-mode code at 0x\w+\n {2}expected: code below 0x10000/);
  });

  test('two workloads of one name', () => {
    expect(() => bootImages([parseOps('halt', 'a/x.ops'), parseOps('smi', 'b/x.ops')])).toThrow(
      'x: two workloads of this name',
    );
  });
});

test('files for the monitor', () => {
  const files = imageFiles([bootImage(parseOps('phase one\nphase two\nphase one', 'small.ops'))]);
  expect([...files.keys()]).toEqual(['small.img', 'small.phases']);
  expect(files.get('small.phases')).toBe('one\ntwo\n');
});
