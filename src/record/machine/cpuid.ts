// SPDX-License-Identifier: GPL-2.0-only

/** A register of a CPUID leaf, in the order of `monitor cpuid`. */
const registers = { eax: 2, ebx: 3, ecx: 4, edx: 5 } as const;

/** Facts of the `guest_cpuid:` line of run-info.txt: leaf, register, lowest bit, width. SDM vol. 2 CPUID; APM vol. 3 appendix E. */
const facts: readonly (readonly [
  name: string,
  leaf: number,
  register: keyof typeof registers,
  shift: number,
  width?: number,
])[] = [
  ['pcid', 1, 'ecx', 17],
  ['smep', 7, 'ebx', 7],
  ['smap', 7, 'ebx', 20],
  ['invpcid', 7, 'ebx', 10],
  ['pku', 7, 'ecx', 3],
  ['la57', 7, 'ecx', 16],
  ['umip', 7, 'ecx', 2],
  ['nx', 0x80000001, 'edx', 20],
  ['gbpages', 0x80000001, 'edx', 26],
  ['lm', 0x80000001, 'edx', 29],
  ['svm', 0x80000001, 'ecx', 2],
  ['maxphyaddr', 0x80000008, 'eax', 0, 8],
];

/** `pcid=0 smep=1 …` from lines of hexadecimal numbers: function, index, EAX, EBX, ECX, EDX. Leaves that are missing count as 0. */
export function guestCpuid(text: string): string {
  const leaves = new Map<number, number[]>();
  for (const line of text.trim().split('\n')) {
    const numbers = line.split(' ').map((word) => Number.parseInt(word, 16));
    if (numbers[1] === 0) leaves.set(numbers[0]!, numbers);
  }
  return facts
    .map(([name, leaf, register, shift, width = 1]) => {
      const value = leaves.get(leaf)?.[registers[register]] ?? 0;
      return `${name}=${(value >>> shift) & (2 ** width - 1)}`;
    })
    .join(' ');
}
