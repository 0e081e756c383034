// SPDX-License-Identifier: GPL-2.0-only

/**
 * Names of a register's bits that are set in a mask, in the order of `bits`, for the log: `CR4.PSE CR4.PGE`; `` for none.
 * The text of each mask is made once, as guests change the same bits over and over.
 */
export function bitNames(register: string, bits: Readonly<Record<string, number>>): (mask: number) => string {
  const named = Object.entries(bits);
  const known = named.reduce((all, [, bit]) => all | bit, 0);
  const texts = new Map<number, string>();
  return (mask) => {
    const found = texts.get(mask & known);
    if (found !== undefined) return found;
    const names = named.filter(([, bit]) => (mask & bit) !== 0).map(([name]) => `${register}.${name}`);
    texts.set(mask & known, names.join(' '));
    return names.join(' ');
  };
}
