// SPDX-License-Identifier: GPL-2.0-only

/** Address of a page or frame number as `0x` digits. Linear page numbers of the upper half get bits 63:57 back. */
export function formatU64(page: number): string {
  const address = BigInt(page) * 4096n;
  return `0x${(page >= 2 ** 44 ? address | (0x7fn << 57n) : address).toString(16)}`;
}

/** Page number of an address in `0x` digits: its bits 56:12. -1 when the address is not that of a page. */
export function parsePage(digits: string): number {
  const address = BigInt(digits);
  return (address & 0xfffn) === 0n ? Number((address >> 12n) & (2n ** 45n - 1n)) : -1;
}
