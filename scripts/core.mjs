// SPDX-License-Identifier: GPL-2.0-only
/** Compiles the machine's inner loop, src/sim/core/, to dist/core.wasm. */
import { existsSync, mkdirSync, readdirSync, renameSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { root } from './setup.mjs';

const folder = join('src', 'sim', 'core');
const output = join(root, 'dist', 'core.wasm');
/** The memory begins with this many pages of 64 KiB (src/sim/core.ts), and may grow to 4 GiB. */
const MEMORY = ['--importMemory', '--sharedMemory', '--initialMemory', '514', '--maximumMemory', '65536'];

/**
 * V8 makes every call of a function save all registers, and compiles no function into its callers. So Binaryen does that, up
 * to these sizes of its syntax trees: all but the walk itself end up in the loop over a trace, which doubles its speed.
 */
const inlineSizes = { always: 400, flexible: 1000, oneCaller: 100_000 };

/** What Node 20 knows. */
const features = ['SIMD128', 'Atomics', 'BulkMemory', 'SignExt', 'NontrappingFPToInt', 'MutableGlobals'];

async function compile() {
  // Loaded here, as the dependencies may be installed only now.
  const { default: asc } = await import('assemblyscript/asc');
  let wasm;
  const options = ['--runtime', 'stub', '--noAssert', '--enable', 'simd,threads', ...MEMORY, '--disableWarning', '112'];
  const { error, stderr } = await asc.main([join(folder, 'main.ts'), '-o', 'core.wasm', '-O1', '--debug', ...options], {
    writeFile: (name, contents) => {
      if (name === 'core.wasm') wasm = contents;
    },
  });
  if (error) throw new Error(`${folder} does not compile:\n${stderr.toString()}`);
  return wasm;
}

async function optimized(wasm) {
  const { default: binaryen } = await import('assemblyscript/binaryen');
  const module = binaryen.readBinary(wasm);
  module.setFeatures(features.reduce((all, name) => all | binaryen.Features[name], 0));
  binaryen.setOptimizeLevel(4);
  binaryen.setShrinkLevel(0);
  binaryen.setAlwaysInlineMaxSize(inlineSizes.always);
  binaryen.setFlexibleInlineMaxSize(inlineSizes.flexible);
  binaryen.setOneCallerInlineMaxSize(inlineSizes.oneCaller);
  binaryen.setAllowInliningFunctionsWithLoops(true);
  // What the first pass brought together the second one simplifies.
  module.optimize();
  module.optimize();
  return module.emitBinary();
}

/** Compiles when the output is older than a source. */
export async function buildCore() {
  const sources = readdirSync(join(root, folder)).map((name) => join(root, folder, name));
  const newest = Math.max(...[...sources, fileURLToPath(import.meta.url)].map((file) => statSync(file).mtimeMs));
  if (existsSync(output) && statSync(output).mtimeMs > newest) return;
  const wasm = await optimized(await compile());
  mkdirSync(join(root, 'dist'), { recursive: true });
  // Another process must never see half of it.
  const part = `${output}.${process.pid}`;
  writeFileSync(part, wasm);
  renameSync(part, output);
}

if (process.argv[1] === fileURLToPath(import.meta.url)) await buildCore();
