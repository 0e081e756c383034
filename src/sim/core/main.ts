// SPDX-License-Identifier: GPL-2.0-only
/**
 * The machine's inner loop, compiled to WebAssembly by scripts/core.mjs. It is written in AssemblyScript: TypeScript with the
 * processor's integer types and loads and stores, without objects. src/sim/core.ts says what the rest of the project
 * sees of it. Addresses come as two halves, since JavaScript has no 64-bit integers but BigInt.
 */
import { lookUp as lookUpCaches } from './caches';
import { access as accessAt, run as runFrom } from './cpu';
import { dropAddress as dropAt, fill as fillAt, lookUp as lookUpAt } from './tlb';
import { walk as walkAt } from './walk';

export function walk(walker: usize, lo: u32, hi: u32, access: i32, mark: bool): i32 {
  return walkAt(walker, join(lo, hi), access, mark);
}

export function access(cpu: usize, lo: u32, hi: u32, access: i32): i32 {
  return accessAt(cpu, join(lo, hi), access);
}

export function run(cpu: usize, from: i32, to: i32, user: i32): i32 {
  return runFrom(cpu, from, to, user);
}

export function lookUp(tlb: usize, walker: usize, lo: u32, hi: u32, access: i32): i32 {
  return lookUpAt(tlb, walker, join(lo, hi), access);
}

export function fill(tlb: usize, walker: usize, lo: u32, hi: u32): void {
  fillAt(tlb, walker, join(lo, hi));
}

export function dropAddress(tlb: usize, lo: u32, hi: u32, tag: i32, otherTag: i32): void {
  dropAt(tlb, join(lo, hi), tag, otherTag);
}

export function lookUpInCaches(caches: usize, lo: u32, hi: u32, levels: i32): i32 {
  return lookUpCaches(caches, join(lo, hi), levels);
}

function join(lo: u32, hi: u32): u64 {
  return ((<u64>hi) << 32) | lo;
}
