// SPDX-License-Identifier: GPL-2.0-only

/** CRC-32 of IEEE 802.3 (reflected 0x04c11db7), as zlib and PNG have it. node:zlib has one from Node 20.15 on only. */
const table = Int32Array.from({ length: 256 }, (_, byte) => {
  let value = byte;
  for (let bit = 0; bit < 8; bit++) value = value & 1 ? (value >>> 1) ^ 0xedb88320 : value >>> 1;
  return value;
});

/** Checksum of the bytes of all parts, one after the other, unsigned. */
export function crc32(...parts: readonly Uint8Array[]): number {
  let crc = -1;
  for (const bytes of parts) {
    for (let i = 0; i < bytes.length; i++) crc = table[(crc ^ bytes[i]!) & 0xff]! ^ (crc >>> 8);
  }
  return ~crc >>> 0;
}
