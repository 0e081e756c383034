// SPDX-License-Identifier: GPL-2.0-only
/**
 * The compiled part of the machine (src/sim/core/, AssemblyScript): page walks, the TLB, packed traces. It works on one linear
 * memory, which holds all that there is of the machine at offsets of src/sim/core/layout.ts; TypeScript sees the same
 * bytes through typed arrays.
 */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { projectRoot } from '../root.ts';
import { FIRST_SLOT } from './core/layout.ts';

/** What this project uses of the WebAssembly interface, which is the same in Node and in browsers. */
declare namespace WebAssembly {
  class Memory {
    constructor(limits: { initial: number; maximum: number; shared: boolean });
    readonly buffer: SharedArrayBuffer;
    grow(pages: number): number;
  }
  class Module {
    constructor(bytes: Uint8Array);
  }
  class Instance {
    constructor(module: Module, imports: Record<string, Record<string, unknown>>);
    readonly exports: unknown;
  }
}

/** Functions of the compiled core. Blocks are byte offsets in the memory; addresses are two halves, signed or not. */
export interface Core {
  /** Walks; marks entries unless `mark` is 0. Returns a FAULT. */
  walk(walker: number, lo: number, hi: number, access: number, mark: number): number;
  /** One access of a CPU. Returns a FAULT. */
  access(cpu: number, lo: number, hi: number, access: number): number;
  /** Accesses in the CPU's window, from one number to another. Returns where it stopped. */
  run(cpu: number, from: number, to: number, user: number): number;
  /** Returns a HIT. */
  lookUp(tlb: number, walker: number, lo: number, hi: number, access: number): number;
  fill(tlb: number, walker: number, lo: number, hi: number): void;
  dropAddress(tlb: number, lo: number, hi: number, tag: number, otherTag: number): void;
  /** Returns a level, 0 for none. */
  lookUpInCaches(caches: number, lo: number, hi: number, levels: number): number;
}

export type LinearMemory = WebAssembly.Memory;

/** Bytes of a page of linear memory. */
export const LINEAR_PAGE = 65536;
/** All that 32-bit offsets reach: 4 GiB. */
const MOST_PAGES = 65536;

/**
 * A linear memory with its first slots. What is never touched takes none of the process's memory. It is shared
 * so that arrays on it stay valid when it grows.
 */
export const newLinearMemory = (): LinearMemory =>
  new WebAssembly.Memory({ initial: (FIRST_SLOT * 4096) / LINEAR_PAGE + 1, maximum: MOST_PAGES, shared: true });

/** The core for a memory. `farSlot` gives the slot of a frame that no dense window covers. */
export function coreFor(memory: LinearMemory, farSlot: (frame: number) => number): Core {
  const { exports } = new WebAssembly.Instance(compiled(), { env: { memory }, memory: { farSlot } });
  return exports as Core; // whose shape src/sim/core/main.ts gives
}

let module: WebAssembly.Module | undefined;

function compiled(): WebAssembly.Module {
  if (module !== undefined) return module;
  const file = join(projectRoot().folder, 'dist', 'core.wasm');
  if (!existsSync(file)) throw new Error(`${file} is missing: npm run build makes it`);
  module = new WebAssembly.Module(readFileSync(file));
  return module;
}
