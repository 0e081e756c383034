// SPDX-License-Identifier: GPL-2.0-only

/** A file or folder in an archive. */
export interface ArchiveEntry {
  /** Without a leading slash or `./`. */
  readonly name: string;
  /** null: a folder. */
  readonly content: Uint8Array | null;
  readonly executable?: boolean;
}

/**
 * The `newc` form of cpio, which the kernel unpacks as initramfs (Documentation/driver-api/early-userspace/buffer-format.rst): for
 * each entry a header of 110 hexadecimal characters, the name with a NUL, and the content, both padded to 4 bytes.
 */
const MAGIC = '070701';
const HEADER = 110;
const TRAILER = 'TRAILER!!!';
const types = { folder: 0o040000, file: 0o100000, mask: 0o170000 } as const;

const padded = (length: number): number => Math.ceil(length / 4) * 4;

/** An archive with the entries in that order, owned by root, without times. Folders must come before what is in them. */
export function writeCpio(entries: readonly ArchiveEntry[]): Buffer {
  const parts = entries.flatMap(({ name, content, executable }, i) => {
    const mode = content === null ? types.folder | 0o755 : types.file | (executable ? 0o755 : 0o644);
    return member(name, content ?? new Uint8Array(0), i + 1, mode);
  });
  return Buffer.concat([...parts, ...member(TRAILER, new Uint8Array(0), 0, 0)]);
}

function member(name: string, content: Uint8Array, inode: number, mode: number): Buffer[] {
  const nameBytes = Buffer.from(`${name}\0`);
  const [links, nothing] = [1, 0];
  // inode mode uid gid links time size, device twice, special device twice, name's length, checksum.
  const numbers = [
    inode,
    mode,
    nothing,
    nothing,
    links,
    nothing,
    content.length,
    0,
    0,
    0,
    0,
    nameBytes.length,
    nothing,
  ];
  const header = Buffer.from(MAGIC + numbers.map((number) => number.toString(16).padStart(8, '0')).join(''));
  const head = Buffer.alloc(padded(HEADER + nameBytes.length));
  header.copy(head);
  nameBytes.copy(head, HEADER);
  const body = Buffer.alloc(padded(content.length));
  body.set(content);
  return [head, body];
}

/** The files of an archive by name. Throws an Error when it is none, or ends early. */
export function readCpio(archive: Uint8Array): Map<string, Buffer> {
  const bytes = Buffer.from(archive.buffer, archive.byteOffset, archive.byteLength);
  const files = new Map<string, Buffer>();
  for (let at = 0; ; ) {
    if (bytes.toString('latin1', at, at + MAGIC.length) !== MAGIC) throw new Error(`no cpio entry at byte ${at}`);
    const number = (index: number): number => {
      const start = at + MAGIC.length + 8 * index;
      return Number.parseInt(bytes.toString('latin1', start, start + 8), 16);
    };
    const [mode, size, nameLength] = [number(1), number(6), number(11)];
    const name = bytes.toString('utf8', at + HEADER, at + HEADER + nameLength - 1);
    if (name === TRAILER) return files;
    const start = at + padded(HEADER + nameLength);
    if (start + size > bytes.length) throw new Error(`cpio entry ${name} ends early`);
    if ((mode & types.mask) === types.file) files.set(name.replace(/^\.\//, ''), bytes.subarray(start, start + size));
    at = start + padded(size);
  }
}
