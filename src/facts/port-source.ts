// SPDX-License-Identifier: GPL-2.0-only
import { existsSync, readFileSync } from 'node:fs';
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

const portsFolder = (): string => join(projectRoot().folder, 'snapshots');
