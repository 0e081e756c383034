// SPDX-License-Identifier: GPL-2.0-only

/** A type as a test writes it down; ids count from 1 in order, or from where the base ends. */
export type TypeText =
  | { readonly kind: 'int'; readonly name: string; readonly bytes: number }
  | { readonly kind: 'pointer' | 'const' | 'volatile'; readonly type: number }
  | { readonly kind: 'typedef'; readonly name: string; readonly type: number }
  | { readonly kind: 'array'; readonly type: number; readonly count: number }
  | { readonly kind: 'enum'; readonly name: string; readonly values: readonly string[] }
  | {
      readonly kind: 'struct' | 'union';
      readonly name: string;
      readonly bytes: number;
      /** Name, type, bit offset, and bits of a bit-field. */
      readonly members: readonly (readonly [string, number, number, number?])[];
    };

const kinds = {
  int: 1,
  pointer: 2,
  array: 3,
  struct: 4,
  union: 5,
  enum: 6,
  typedef: 8,
  volatile: 9,
  const: 10,
} as const;

/** A `.BTF` section (Documentation/bpf/btf.rst). `stringBytes`: length of the base's strings, which ours go on from. */
export function btfBytes(types: readonly TypeText[], stringBytes = 0): Buffer {
  let strings = stringBytes === 0 ? '\0' : '';
  const string = (text: string): number => {
    if (text === '') return 0;
    strings += `${text}\0`;
    return stringBytes + strings.length - text.length - 1;
  };
  const words: number[] = [];
  for (const type of types) {
    const name = 'name' in type ? string(type.name) : 0;
    const info = (count: number, flag = 0): number => ((kinds[type.kind] << 24) | count | (flag << 31)) >>> 0;
    switch (type.kind) {
      case 'int':
        words.push(name, info(0), type.bytes, 8 * type.bytes);
        break;
      case 'array':
        words.push(0, info(0), 0, type.type, 1, type.count);
        break;
      case 'enum':
        words.push(name, info(type.values.length), 4, ...type.values.flatMap((each, i) => [string(each), i]));
        break;
      case 'struct':
      case 'union': {
        const bitFields = type.members.some(([, , , bits]) => bits !== undefined);
        words.push(name, info(type.members.length, bitFields ? 1 : 0), type.bytes);
        for (const [member, of, offset, bits = 0] of type.members)
          words.push(string(member), of, offset | (bits << 24));
        break;
      }
      default:
        words.push(name, info(0), type.type);
    }
  }
  const typeBytes = 4 * words.length;
  const header = Buffer.alloc(24);
  header.writeUInt16LE(0xeb9f, 0);
  header.writeUInt8(1, 2);
  [24, 0, typeBytes, typeBytes, strings.length].forEach((value, i) => {
    header.writeUInt32LE(value, 4 + 4 * i);
  });
  const body = Buffer.alloc(typeBytes);
  words.forEach((word, i) => {
    body.writeUInt32LE(word >>> 0, 4 * i);
  });
  return Buffer.concat([header, body, Buffer.from(strings)]);
}

/** Length of the strings of a section, for one that goes on from it. */
export const stringBytesOf = (section: Buffer): number => section.readUInt32LE(20);
