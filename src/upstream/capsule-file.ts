// SPDX-License-Identifier: GPL-2.0-only
import { createHash } from 'node:crypto';
import { readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import * as z from 'zod';
import { UserError } from '../errors.ts';
import { check } from '../facts/check.ts';

const id = z.string().regex(/^[0-9a-f]{40}$/, 'a full id of 40 hex digits');

const capsuleHeader = z.strictObject({
  format: z.literal('mmu-eras capsule 1'),
  /** Folders and files whose texts are there for every commit. */
  paths: z.array(z.string().min(1)).min(1),
  /** Tags, and the commit each one stands for. */
  tags: z.record(z.string(), id),
  /** Every commit there, and the blob with its diff against its first parent; null where only the texts are there. */
  commits: z.record(id, id.nullable()),
  /** Diffs between the revisions of eras that are releases: `from..to`, full ids, and the blob. */
  ranges: z.record(z.string(), id),
  /** Bytes of the index and of the pack that follow this line, and the hash of both. */
  index: z.int().min(1),
  pack: z.int().min(1),
  sha256: z.string().regex(/^[0-9a-f]{64}$/, 'a SHA-256 of 64 hex digits'),
});

/** The first line of a capsule: what is in it. */
export type CapsuleHeader = z.infer<typeof capsuleHeader>;

/** A capsule taken apart: its header, and a git pack with its index (version 2). */
export interface CapsuleFile {
  readonly header: CapsuleHeader;
  readonly index: Buffer;
  readonly pack: Buffer;
}

const digest = (...parts: Buffer[]): string => {
  const hash = createHash('sha256');
  for (const part of parts) hash.update(part);
  return hash.digest('hex');
};

/** Writes `header line, index, pack` under a temporary name beside it and renames it, so that no half file stays. */
export function writeCapsule(
  file: string,
  contents: Omit<CapsuleHeader, 'format' | 'index' | 'pack' | 'sha256'>,
  { index, pack }: Pick<CapsuleFile, 'index' | 'pack'>,
): void {
  const header: CapsuleHeader = {
    format: 'mmu-eras capsule 1',
    ...contents,
    index: index.length,
    pack: pack.length,
    sha256: digest(index, pack),
  };
  const temporary = `${file}.${process.pid}.tmp`;
  try {
    writeFileSync(temporary, Buffer.concat([Buffer.from(`${JSON.stringify(header)}\n`), index, pack]));
    renameSync(temporary, file);
  } catch (error) {
    rmSync(temporary, { force: true });
    throw new UserError({
      place: `--output ${file}`,
      found: (error as NodeJS.ErrnoException).message,
      expected: 'a file that can be written',
    });
  }
}

/** Reads a capsule whole. Throws UserError for a file that is none, is cut short or was changed. */
export function readCapsule(file: string): CapsuleFile {
  const place = `--capsule ${file}`;
  let bytes: Buffer;
  try {
    bytes = readFileSync(file);
  } catch (error) {
    const expected = 'a file that mmu-eras upstream pack wrote';
    throw new UserError({ place, found: (error as NodeJS.ErrnoException).message, expected });
  }
  const end = bytes.indexOf(0x0a);
  const header = check(capsuleHeader, parseHeader(place, bytes.subarray(0, Math.max(end, 0))), place);
  const body = bytes.subarray(end + 1);
  if (body.length !== header.index + header.pack) {
    throw damaged(place, `${body.length} bytes after the header`, `${header.index + header.pack}`);
  }
  const found = digest(body);
  if (found !== header.sha256) throw damaged(place, `SHA-256 ${found}`, header.sha256);
  return { header, index: body.subarray(0, header.index), pack: body.subarray(header.index) };
}

function parseHeader(place: string, line: Buffer): unknown {
  try {
    return JSON.parse(line.toString('utf8'));
  } catch {
    throw new UserError({
      place,
      found: 'a file that is no capsule',
      expected: 'a file that mmu-eras upstream pack wrote',
    });
  }
}

const damaged = (place: string, found: string, expected: string): UserError =>
  new UserError({
    place,
    found: `a damaged capsule: ${found}`,
    expected,
    suggestion: 'copy it again, or mmu-eras upstream pack',
  });
