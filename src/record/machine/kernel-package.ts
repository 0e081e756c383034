// SPDX-License-Identifier: GPL-2.0-only
import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { basename, join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import { UserError } from '../../errors.ts';
import { runWell, tools } from './tools.ts';

/** A kernel that can be booted, and its modules by name (`kvm_amd`). */
export interface KernelPackage {
  readonly image: string;
  readonly modules: ReadonlyMap<string, string>;
}

/**
 * The kernel in Debian packages (linux-image-… and, where they are apart, its linux-modules-… and linux-binary-…) or folders they
 * were unpacked to. Packages are unpacked into `scratch`. UserError when there is no kernel or more than one.
 */
export function openKernel(paths: readonly string[], scratch: string): KernelPackage {
  const files = paths.flatMap((path) => filesOf(path, scratch));
  const images = files.filter((file) => /^vmlinuz/.test(basename(file)) && !/\/\.\w/.test(file));
  const [image] = images;
  if (image === undefined || images.length > 1) {
    throw new UserError({
      place: paths.join(' '),
      found:
        images.length === 0
          ? 'no vmlinuz in it'
          : `${images.length} kernels: ${images.map((each) => basename(each)).join(' ')}`,
      expected: 'one kernel with its modules: a linux-image package of Debian, or a folder with its files',
      suggestion: 'apt-get download linux-image-amd64, and the package it depends on',
    });
  }
  const modules = new Map(
    files.flatMap((file) => {
      const [, name] = /^(.+)\.ko(?:\.xz|\.zst|\.gz)?$/.exec(basename(file)) ?? [];
      return name === undefined ? [] : [[name.replaceAll('-', '_'), file] as const];
    }),
  );
  return { image, modules };
}

function filesOf(path: string, scratch: string): string[] {
  if (!existsSync(path)) {
    throw new UserError({
      place: path,
      found: 'no such file or folder',
      expected: 'a .deb, or a folder with a kernel',
    });
  }
  if (statSync(path).isDirectory()) return allFiles(path);
  if (!path.endsWith('.deb')) return [path];
  const folder = join(scratch, basename(path, '.deb'));
  runWell(tools.dpkg, ['-x', path, folder], `unpack ${path}`);
  return allFiles(folder);
}

const allFiles = (folder: string): string[] =>
  readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name))
    .sort();

/** A module and what it needs, in the order to load them; content uncompressed. UserError when one is not there. */
export function modulesFor(kernel: KernelPackage, name: string): Map<string, Buffer> {
  const order = new Map<string, Buffer>();
  const visit = (each: string): void => {
    if (order.has(each)) return;
    const path = kernel.modules.get(each);
    if (path === undefined) {
      throw new UserError({
        place: kernel.image,
        found: `no module ${each} with this kernel`,
        expected: `${each}.ko, which ${name} needs`,
        suggestion: 'give its linux-modules package too, with a second --kernel',
      });
    }
    const content = uncompressed(path);
    for (const needed of dependencies(content)) visit(needed);
    order.set(each, content);
  };
  visit(name);
  return order;
}

function uncompressed(path: string): Buffer {
  if (path.endsWith('.xz')) return runWell(tools.xz, ['-dc', path], `read ${path}`);
  if (path.endsWith('.zst')) return runWell(tools.zstd, ['-dcq', path], `read ${path}`);
  const bytes = readFileSync(path);
  return path.endsWith('.gz') ? gunzipSync(bytes) : bytes;
}

/** Names in the module's `depends=` line, which the build puts into its .modinfo section. */
export function dependencies(module: Uint8Array): string[] {
  const bytes = Buffer.from(module.buffer, module.byteOffset, module.byteLength);
  const start = bytes.indexOf('\0depends=');
  if (start < 0) return [];
  const text = bytes.toString('latin1', start + '\0depends='.length, bytes.indexOf(0, start + 1));
  return text
    .split(',')
    .filter((each) => each !== '')
    .map((each) => each.replaceAll('-', '_'));
}
