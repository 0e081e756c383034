// SPDX-License-Identifier: GPL-2.0-only
import type { Width } from '../../workload/encoding.ts';
import type { Step } from '../../workload/program.ts';
import { at } from '../../workload/touches.ts';
import { type U64, u64 } from '../../workload/u64.ts';
import * as x86 from './instructions.ts';
import { type Bytes, reg } from './instructions.ts';
import { recover } from './recover.ts';

type Of<Kind extends Step['kind']> = Extract<Step, { kind: Kind }>;

/** A step's `gva` is where the access goes: the address that the op names, and this offset in the page. */
const offsets = { r: 0x10, w: 0x18, x: 0 } as const;
const WRITTEN = 0x5a;

const use = (bits: Width, kind: 'r' | 'w'): Bytes =>
  kind === 'r' ? x86.loadByte(bits, offsets.r) : x86.storeByte(bits, offsets.w, WRITTEN);

/** Difference modulo 2 ** 64 of an address and an offset. */
const minus = ({ lo, hi }: U64, offset: number): U64 => u64(lo - offset, hi - (lo < offset ? 1 : 0));

export function access(step: Of<'access'>): Bytes {
  const { bits, access: kind, gva } = step;
  return [
    ...recover(step),
    ...x86.movImmediate(bits, reg.di, minus(gva, offsets[kind])),
    ...(kind === 'x' ? x86.jumpToDi : use(bits, kind)),
  ];
}

export function touch(step: Of<'touch'>): Bytes {
  const { bits, access: kind, gva, count, stride } = step;
  const round = [...use(bits, kind), ...x86.addToDi(bits, stride), ...x86.decCount(bits)];
  return [
    ...recover(step),
    ...x86.movImmediate(bits, reg.di, minus(gva, offsets[kind])),
    ...x86.mov32(bits, reg.cx, count),
    ...round,
    ...x86.jnzShort(-(round.length + x86.jnzShort(0).length)),
  ];
}

export function store(step: Of<'store'>): Bytes {
  const { bits, address, bytes, lo, hi, what } = step;
  if (bits === 16) throw new Error(`a store in real mode, line ${step.line}`);
  return [
    ...x86.movImmediate(bits, reg.di, u64(address)),
    ...x86.movImmediate(bits, reg.ax, u64(lo, hi)),
    ...(what === 'pdpte' ? x86.storeHalf(bits) : x86.storeWord(bits, bytes)),
  ];
}

/** The descriptor is written first: PCID, then the address. */
export const invpcid = (step: Of<'invpcid'>): Bytes => [
  ...recover(step),
  ...x86.storeImmediate(64, at.invpcidDescriptor, step.pcid, true),
  ...x86.movImmediate(64, reg.ax, step.gva),
  ...x86.storeRax(at.invpcidDescriptor + 8),
  ...x86.mov32(64, reg.ax, step.type),
  ...x86.invpcidRax(at.invpcidDescriptor),
];
