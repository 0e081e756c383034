// SPDX-License-Identifier: GPL-2.0-only
import { nearest, UserError } from '../errors.ts';
import type { EraRecord } from '../facts/index.ts';
import { cutTo } from './cut.ts';
import { findDefinitions } from './definition.ts';
import { portDiff, portFiles, portText } from './ports.ts';
import type { DiffChoice, DiffPart } from './view.ts';

/** The change from one port to another. Throws UserError for an era without a port, and a file that neither port has. */
export async function portPart(before: EraRecord, after: EraRecord, choice: DiffChoice): Promise<DiffPart> {
  const [old, now] = [portOf(before), portOf(after)];
  const only = choice.paths.filter(isPortFile).map(fileName);
  checkFiles(only, portFiles(old, now));
  const text = (port: string, path: string | null): string | null =>
    path === null ? null : portText(port, fileName(path));
  const { files, citations } = portDiff(old, now, { citations: choice.citations, only });
  const cut = await cutTo(files, choice.definition, async ({ oldPath, newPath }) => ({
    before: text(old, oldPath),
    after: text(now, newPath),
  }));
  return {
    kind: 'port',
    title: `ports ${before.id}..${after.id}`,
    facts: [
      ['From', `${before.id}: ${before.title}`],
      ['To', `${after.id}: ${after.title}`],
      ...(citations === 0 || choice.definition !== undefined
        ? []
        : [['Left out', `${citations} lines that differ only in the commit or line they cite (--citations)`] as const]),
    ],
    links: [],
    files: cut.files,
  };
}

/** Throws UserError for a declaration that neither port has, in any file. */
export function checkDeclared(before: EraRecord, after: EraRecord, name: string): void {
  const ports = [portOf(before), portOf(after)] as const;
  const texts = ports.flatMap((port) => portFiles(...ports).map((file) => portText(port, file) ?? ''));
  if (texts.some((text) => findDefinitions(text, name).length > 0)) return;
  const names = texts.flatMap((text) =>
    [...text.matchAll(/^export (?:const|function) (\w+)/gm)].map((match) => match[1]!),
  );
  const near = nearest(name, new Set(names));
  throw new UserError({
    place: `--function ${name}`,
    found: 'neither port declares it',
    expected: 'a function, constant or type of one of them; ports keep the names of the C',
    ...(near ? { suggestion: `--function ${near}` } : {}),
  });
}

/** Whether a path is meant for the ports: no C file is called so. */
export const isPortFile = (path: string): boolean => path.endsWith('.ts');

const fileName = (path: string): string => path.slice(path.lastIndexOf('/') + 1);

function portOf(era: EraRecord): string {
  if (era.snapshot !== null) return era.snapshot;
  throw new UserError({ place: era.id, found: 'no port', expected: 'an era with a port', suggestion: 'mmu-eras eras' });
}

function checkFiles(wanted: readonly string[], known: readonly string[]): void {
  const absent = wanted.find((name) => !known.includes(name));
  if (absent === undefined) return;
  const near = nearest(absent, known);
  throw new UserError({
    place: `--path ${absent}`,
    found: 'neither port has such a file',
    expected: `one of ${known.join(', ')}`,
    ...(near ? { suggestion: `--path ${near}` } : {}),
  });
}
