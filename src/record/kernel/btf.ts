// SPDX-License-Identifier: GPL-2.0-only

/**
 * Reader of BTF, the type information that a kernel and its modules carry (Documentation/bpf/btf.rst). It knows what finding
 * a member's place in a struct needs; other kinds of types are skipped over.
 */
const MAGIC = 0xeb9f;
const kinds = {
  int: 1,
  pointer: 2,
  array: 3,
  struct: 4,
  union: 5,
  typedef: 8,
  volatile: 9,
  const: 10,
  restrict: 11,
} as const;
const TYPE_TAG = 18;
/** Bytes behind the 12 of every type: fixed, or for each of the `vlen` things it has. */
const fixedBytes: Readonly<Record<number, number>> = { 1: 4, 3: 12, 14: 4, 17: 4 };
const eachBytes: Readonly<Record<number, number>> = { 4: 12, 5: 12, 6: 8, 13: 8, 15: 12, 19: 12 };
const LAST_KIND = 19;

/** A member of a struct or union. */
export interface Member {
  /** Empty for an anonymous struct or union. */
  readonly name: string;
  readonly type: number;
  /** From the beginning of the struct. */
  readonly bitOffset: number;
  /** Of a bit-field; 0 otherwise. */
  readonly bits: number;
}

export class Btf {
  readonly #view: DataView;
  readonly #bytes: Uint8Array;
  /** What the ids and strings of a module go on from. */
  readonly #base: Btf | undefined;
  readonly #strings: { readonly start: number; readonly length: number };
  /** Where each of our types stands. */
  readonly #places: number[] = [];

  /** Reads a `.BTF` section; `base` is the kernel's when it is a module's. Throws an Error when it is none. */
  constructor(bytes: Uint8Array, base?: Btf) {
    this.#bytes = bytes;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.#base = base;
    if (bytes.length < 24 || this.#u16(0) !== MAGIC) throw new Error('no BTF');
    const header = this.#u32(4);
    const start = header + this.#u32(8);
    const end = start + this.#u32(12);
    this.#strings = { start: header + this.#u32(16), length: this.#u32(20) };
    for (let place = start; place < end; ) {
      this.#places.push(place);
      const kind = this.#kindAt(place);
      if (kind === 0 || kind > LAST_KIND) throw new Error(`BTF type of unknown kind ${kind}`);
      place += 12 + (fixedBytes[kind] ?? 0) + this.#countAt(place) * (eachBytes[kind] ?? 0);
    }
  }

  /** Id of the struct or union of that name, a module's own before the kernel's. */
  find(kind: 'struct' | 'union', name: string): number | undefined {
    const index = this.#places.findIndex(
      (place) => this.#kindAt(place) === kinds[kind] && this.#string(this.#u32(place)) === name,
    );
    return index < 0 ? this.#base?.find(kind, name) : this.#first + index;
  }

  /** Members of a struct or union, through typedefs and qualifiers; undefined when the type is something else. */
  members(id: number): Member[] | undefined {
    const { btf, place, kind } = this.#resolve(id);
    if (kind !== kinds.struct && kind !== kinds.union) return undefined;
    return btf.#membersAt(place);
  }

  /** Element type and its size in bytes of an array, undefined when the type is none. */
  element(id: number): { type: number; bytes: number } | undefined {
    const { btf, place, kind } = this.#resolve(id);
    if (kind !== kinds.array) return undefined;
    const type = btf.#u32(place + 12);
    return { type, bytes: this.bytes(type) };
  }

  /** Size of a type in bytes; 0 for one without. */
  bytes(id: number): number {
    const { btf, place, kind } = this.#resolve(id);
    if (kind === kinds.pointer) return 8;
    if (kind === kinds.array) return this.bytes(btf.#u32(place + 12)) * btf.#u32(place + 20);
    return kind === 0 ? 0 : btf.#u32(place + 8);
  }

  /** How C names the type: `u32`, `union kvm_mmu_page_role`; empty when it has no name. */
  nameOf(id: number): string {
    const { btf, place } = this.#at(id);
    const name = place === 0 ? '' : btf.#string(btf.#u32(place));
    const kind = place === 0 ? 0 : btf.#kindAt(place);
    const tag = kind === kinds.struct ? 'struct ' : kind === kinds.union ? 'union ' : '';
    return name === '' ? '' : `${tag}${name}`;
  }

  /** Whether the type is a union, through typedefs and qualifiers. */
  isUnion(id: number): boolean {
    return this.#resolve(id).kind === kinds.union;
  }

  /** First id of our own: 0 is void. */
  get #first(): number {
    return this.#base ? this.#base.#first + this.#base.#places.length : 1;
  }

  #at(id: number): { btf: Btf; place: number } {
    if (id >= this.#first) return { btf: this, place: this.#places[id - this.#first]! };
    return this.#base && id > 0 ? this.#base.#at(id) : { btf: this, place: 0 };
  }

  #resolve(id: number): { btf: Btf; place: number; kind: number } {
    for (;;) {
      const { btf, place } = this.#at(id);
      const kind = place === 0 ? 0 : btf.#kindAt(place);
      const through = kind >= kinds.typedef && kind <= kinds.restrict;
      if (!through && kind !== TYPE_TAG) return { btf, place, kind };
      id = btf.#u32(place + 8);
    }
  }

  #membersAt(place: number): Member[] {
    const bitFields = this.#u32(place + 4) >>> 31 === 1;
    return Array.from({ length: this.#countAt(place) }, (_, i) => {
      const at = place + 12 + 12 * i;
      const offset = this.#u32(at + 8);
      return {
        name: this.#string(this.#u32(at)),
        type: this.#u32(at + 4),
        bitOffset: bitFields ? offset & 0xffffff : offset,
        bits: bitFields ? offset >>> 24 : 0,
      };
    });
  }

  #kindAt(place: number): number {
    return (this.#u32(place + 4) >>> 24) & 0x1f;
  }

  #countAt(place: number): number {
    return this.#u16(place + 4);
  }

  #u16(at: number): number {
    return this.#view.getUint16(at, true);
  }

  #u32(at: number): number {
    return this.#view.getUint32(at, true);
  }

  #string(offset: number): string {
    const shared = this.#base ? this.#base.#stringBytes : 0;
    if (offset < shared) return this.#base!.#string(offset);
    const start = this.#strings.start + offset - shared;
    return Buffer.from(this.#bytes.subarray(start, this.#bytes.indexOf(0, start))).toString('latin1');
  }

  get #stringBytes(): number {
    return (this.#base ? this.#base.#stringBytes : 0) + this.#strings.length;
  }
}
