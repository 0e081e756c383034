// SPDX-License-Identifier: GPL-2.0-only
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { UserError } from '../errors.ts';
import { projectRoot } from '../root.ts';
import { type Declaration, declarationOf, declarationsOf } from './declarations.ts';

/** A declaration of a port by name: `snapshots/2022-04-cpu-role/calc.ts#kvm_calc_cpu_role`. */
export interface PortReference {
  /** Folder below snapshots/. */
  readonly folder: string;
  readonly file: string;
  readonly name: string;
}

/** A place in the kernel's sources that a doc comment cites. */
export interface Citation {
  /** As written: leading digits of a sha, or a tag. */
  readonly revision: string;
  /** From the top of the tree. */
  readonly path: string;
  readonly line: number | null;
}

const reference = /^snapshots\/([\w.-]+)\/(\w+\.ts)#(\w+)$/;

/** Reads `snapshots/FOLDER/FILE.ts#NAME`; undefined for anything else. */
export function parseReference(text: string): PortReference | undefined {
  const match = reference.exec(text);
  return match ? { folder: match[1]!, file: match[2]!, name: match[3]! } : undefined;
}

/** The declaration meant, or undefined when the port has no such file or no such name in it. */
export function portDeclaration({ folder, file, name }: PortReference): Declaration | undefined {
  const path = join(portsFolder(), folder, file);
  return existsSync(path) ? declarationOf(readFileSync(path, 'utf8'), name) : undefined;
}

/** The same for a reference that must be good; UserError names what the port has instead. */
export function requiredDeclaration(ref: PortReference): Declaration {
  const found = portDeclaration(ref);
  if (found) return found;
  const path = join(portsFolder(), ref.folder, ref.file);
  throw new UserError({
    place: `snapshots/${ref.folder}/${ref.file}`,
    found: existsSync(path) ? `no declaration of ${ref.name}` : 'no such file',
    expected: existsSync(path)
      ? `one of ${declarationsOf(readFileSync(path, 'utf8'))
          .map(({ name }) => name)
          .join(', ')}`
      : 'a file of a port',
  });
}

/** What the doc comment of a declaration cites first; null when it cites nothing. */
export function citationOf({ comment }: Declaration, folder: string): Citation | null {
  const match = /^([0-9a-f]{12}|v\d+(?:\.\d+)+) ([\w./-]+\.[ch])\b(?::(\d+)| \w+:(\d+))?/.exec(comment ?? '');
  if (!match) return null;
  const [, revision, path, line, lineOfName] = match;
  const at = line ?? lineOfName;
  const whole = fullPath(path!, folder);
  return whole === null ? null : { revision: revision!, path: whole, line: at === undefined ? null : Number(at) };
}

/** Each C function that a port cites by a declaration of its own name, with the place; the first citation counts. */
export function citedFunctions(folder: string): ReadonlyMap<string, Citation> {
  const found = new Map<string, Citation>();
  for (const file of readdirSync(join(portsFolder(), folder)).sort()) {
    if (!file.endsWith('.ts')) continue;
    for (const declaration of declarationsOf(readFileSync(join(portsFolder(), folder, file), 'utf8'))) {
      const citation = citationOf(declaration, folder);
      if (citation && !found.has(declaration.name)) found.set(declaration.name, citation);
    }
  }
  return found;
}

const portsFolder = (): string => join(projectRoot().folder, 'snapshots');

/** mmu/ became a folder of its own in v5.7, svm/ and vmx/ about then. */
function fullPath(path: string, folder: string): string | null {
  if (path.startsWith('arch/') || path.startsWith('virt/') || path.startsWith('include/')) return path;
  const recent = folder >= '2020';
  switch (path) {
    case 'kvm_host.h':
      return 'arch/x86/include/asm/kvm_host.h';
    case 'mmu.c':
    case 'paging_tmpl.h':
    case 'mmutrace.h':
      return `arch/x86/kvm/${recent ? 'mmu/' : ''}${path}`;
    case 'spte.c':
    case 'spte.h':
    case 'tdp_mmu.c':
    case 'tdp_mmu.h':
    case 'tdp_iter.c':
    case 'tdp_iter.h':
    case 'mmu_internal.h':
      return `arch/x86/kvm/mmu/${path}`;
    case 'mmu.h':
    case 'x86.c':
    case 'x86.h':
    case 'cpuid.c':
    case 'cpuid.h':
    case 'smm.c':
    case 'kvm_cache_regs.h':
      return `arch/x86/kvm/${path}`;
    case 'svm.c':
    case 'vmx.c':
      return `arch/x86/kvm/${recent ? `${path.slice(0, 3)}/` : ''}${path}`;
    default:
      return /^(svm|vmx|mmu)\//.test(path) ? `arch/x86/kvm/${path}` : null;
  }
}
