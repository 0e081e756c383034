// SPDX-License-Identifier: GPL-2.0-only
/**
 * Keeps the examples of README.md and docs/ true. A block that opens with "```console" (or "```console head=N",
 * "```console from=TEXT head=N") and whose first line is "$ mmu-eras …" holds the real output of that command: all of it,
 * or N lines, from the first line that holds TEXT on. `--write` renews the blocks; without it, a block that is not true fails.
 */
import { spawnSync } from 'node:child_process';
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { root } from './setup.mjs';

const write = process.argv.includes('--write');
const files = [
  'README.md',
  ...readdirSync(join(root, 'docs'))
    .filter((name) => name.endsWith('.md'))
    .map((name) => `docs/${name}`),
];

let blocks = 0;
let stale = 0;
for (const file of files) {
  const path = join(root, file);
  const before = readFileSync(path, 'utf8');
  const after = before.replace(/^```console(.*)\n\$ mmu-eras (.+)\n[\s\S]*?^```$/gm, (whole, options, command) => {
    blocks++;
    const block = `\`\`\`console${options}\n$ mmu-eras ${command}\n${excerpt(outputOf(command), options)}\`\`\``;
    if (block !== whole && !write) {
      stale++;
      console.error(`${file}: "mmu-eras ${command}" prints something else now; npm run docs -- --write renews it`);
    }
    return block;
  });
  if (write && after !== before) writeFileSync(path, after);
}
if (blocks === 0) {
  console.error('docs: no example found, which cannot be right');
  process.exit(1);
}
console.error(`docs: ${blocks} examples, ${stale} not true`);
process.exit(stale === 0 ? 0 : 1);

function outputOf(command) {
  const args = command.split(' ').filter((word) => word !== '');
  const { status, stdout, stderr } = spawnSync(process.execPath, [join(root, 'bin', 'mmu-eras.mjs'), ...args], {
    cwd: root,
    encoding: 'utf8',
    maxBuffer: 1 << 28,
  });
  if (status === 2) throw new Error(`mmu-eras ${command}: ${stderr}`);
  return stdout;
}

function excerpt(output, options) {
  const head = Number(/ head=(\d+)/.exec(options)?.[1] ?? Number.POSITIVE_INFINITY);
  const from = / from="([^"]+)"/.exec(options)?.[1];
  const lines = output.trimEnd().split('\n');
  const start = from === undefined ? 0 : lines.findIndex((line) => line.includes(from));
  if (start < 0) throw new Error(`no line with "${from}"`);
  const shown = lines.slice(start, start + head);
  return [...(start > 0 ? ['…'] : []), ...shown, ...(start + head < lines.length ? ['…'] : []), ''].join('\n');
}
