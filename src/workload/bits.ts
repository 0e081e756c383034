// SPDX-License-Identifier: GPL-2.0-only

/** Register bits an op may name. Values as SDM vol. 3A 2.5 and 2.2.1, APM vol. 2 3.1 give them; `NX` is EFER.NXE. */
export const cr0Bits = {
  PE: 0x1,
  MP: 0x2,
  EM: 0x4,
  TS: 0x8,
  ET: 0x10,
  NE: 0x20,
  WP: 0x10000,
  AM: 0x40000,
  NW: 0x20000000,
  CD: 0x40000000,
  PG: 0x80000000,
} as const;

export const cr4Bits = {
  TSD: 0x4,
  DE: 0x8,
  PSE: 0x10,
  PAE: 0x20,
  PGE: 0x80,
  OSFXSR: 0x200,
  UMIP: 0x800,
  LA57: 0x1000,
  PCIDE: 0x20000,
  OSXSAVE: 0x40000,
  SMEP: 0x100000,
  SMAP: 0x200000,
  PKE: 0x400000,
} as const;

export const eferBits = { SCE: 0x1, LME: 0x100, LMA: 0x400, NX: 0x800, SVME: 0x1000 } as const;

/** CPU features that `if` can ask for, with their bits in the word at 0x830. */
export const features = { pcid: 1, pku: 2, la57: 4, smep: 8, smap: 16, invpcid: 32 } as const;

export type Feature = keyof typeof features;
export type Cr0Bit = keyof typeof cr0Bits;
export type Cr4Bit = keyof typeof cr4Bits;
export type EferBit = keyof typeof eferBits;

/** One bit turned on or off in a register write, e.g. `+WP`. */
export type BitChange<Bit extends string> = `${'+' | '-'}${Bit}`;

/** The register value with the changes applied in order. */
export function changeBits(value: number, changes: readonly string[], table: Readonly<Record<string, number>>): number {
  for (const change of changes) {
    const bit = table[change.slice(1)]!;
    value = (change[0] === '+' ? value | bit : value & ~bit) >>> 0;
  }
  return value;
}

/** Low-half bits of the entry flags; `n` and `kN` are in the high half, `z` is no bit. */
const flagBits: Readonly<Record<string, number>> = {
  p: 0x1,
  w: 0x2,
  u: 0x4,
  T: 0x8,
  C: 0x10,
  a: 0x20,
  d: 0x40,
  g: 0x100,
  z: 0,
};

/** Letters of the entry flags as an error message lists them. */
export const flagLetters = 'p w u n g a d kN C T z';

/** Index of the first character that is no entry flag, -1 when all are. A key is `k` and one digit. */
export function badFlag(flags: string): number {
  for (let i = 0; i < flags.length; i++) {
    const letter = flags[i]!;
    if (letter === 'k') {
      if (!/[0-9]/.test(flags[i + 1] ?? '')) return i;
      i++;
    } else if (letter !== 'n' && flagBits[letter] === undefined) return i;
  }
  return -1;
}

/**
 * Entry bits of valid flags, as [low, high]. `T` gives bit 3 here: in a `map` it is PWT, and only `pte` gives it another
 * meaning. The first key counts.
 */
export function entryFlags(flags: string): { lo: number; hi: number } {
  let lo = 0;
  let hi = 0;
  for (const letter of flags) {
    if (letter === 'n') hi |= 0x80000000;
    else lo |= flagBits[letter] ?? 0;
  }
  const key = flags.indexOf('k');
  if (key >= 0) hi |= Number(flags[key + 1]) << 27;
  return { lo: lo >>> 0, hi: hi >>> 0 };
}
