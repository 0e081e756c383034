// SPDX-License-Identifier: GPL-2.0-only
import type { NestedEntry } from '../era.ts';
import type { Registers } from '../sim/registers.ts';
import type { GuestImage } from '../workload/image.ts';

/** L2's state as a VMCB or VMCS holds it between two runs. */
interface Saved {
  cr0: number;
  cr3: number;
  cr4: number;
  efer: number;
  tag: number;
  nested: boolean;
  pointer: number;
}

/** Offsets of the VMCB fields the MMU depends on, from its start. APM vol. 2 appendix B. */
const vmcbFields: Readonly<Record<number, (saved: Saved, value: number) => void>> = {
  88: (saved, value) => {
    saved.tag = value;
  },
  144: (saved, value) => {
    saved.nested = (value & 1) !== 0;
  },
  176: (saved, value) => {
    saved.pointer = value;
  },
  1232: (saved, value) => {
    saved.efer = value;
  },
  1352: (saved, value) => {
    saved.cr4 = value;
  },
  1360: (saved, value) => {
    saved.cr3 = value;
  },
  1368: (saved, value) => {
    saved.cr0 = value;
  },
};

/** Every VMCB and VMCS of the workload, as the guest's stores and its runs leave them. */
export class NestedStates {
  readonly #byName = new Map<string, Saved>();
  readonly #vmcbAddress = new Map<string, number>();

  constructor(image: GuestImage) {
    for (const { name, address, cr0, cr3, cr4, efer, asid, nestedCr3 } of image.vmcbs.values()) {
      this.#vmcbAddress.set(name, address);
      this.#byName.set(name, {
        cr0,
        cr3,
        cr4,
        efer,
        tag: asid,
        nested: nestedCr3 !== undefined,
        pointer: nestedCr3 ?? 0,
      });
    }
    for (const { name, cr0, cr3, cr4, efer, vpid, ept } of image.vmcses.values()) {
      this.#byName.set(name, {
        cr0,
        cr3,
        cr4,
        efer,
        tag: vpid,
        nested: ept !== undefined,
        pointer: ept ? eptpOf(ept) : 0,
      });
    }
  }

  /** A store of the guest into a VMCB; offsets the MMU does not look at are left alone. */
  store(name: string, address: number, value: number): void {
    const field = vmcbFields[address - this.#vmcbAddress.get(name)!];
    field?.(this.#saved(name), value);
  }

  /** What an entry hands to the kernel. */
  entry(name: string): NestedEntry {
    const { cr0, cr3, cr4, efer, tag, nested, pointer } = this.#saved(name);
    return { cr0, cr3, cr4, efer, tag, pointer: nested ? pointer : null };
  }

  /** The exit saves L2's registers. APM vol. 2 15.6. */
  save(name: string, { cr0, cr3, cr4, efer }: Registers): void {
    Object.assign(this.#saved(name), { cr0, cr3, cr4, efer });
  }

  #saved(name: string): Saved {
    const saved = this.#byName.get(name);
    if (!saved) throw new Error(`no VMCB or VMCS "${name}"`);
    return saved;
  }
}

/** EPT pointer: write-back (6), depth minus 1 in bits 5:3, accessed and dirty bits on (bit 6). SDM vol. 3C 25.6.11. */
const eptpOf = ({ root, levels }: { readonly root: number; readonly levels: number }): number =>
  root + 6 + (levels - 1) * 8 + 0x40;
