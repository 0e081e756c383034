// SPDX-License-Identifier: GPL-2.0-only
import { UserError } from '../../errors.ts';
import type { GuestImage } from '../../workload/image.ts';
import { lowerLocated } from '../../workload/lower.ts';
import type { Workload } from '../../workload/ops.ts';
import type { Program } from '../../workload/program.ts';
import { at } from '../../workload/touches.ts';
import { programCode } from './program-code.ts';
import { checkRecordable } from './recordable.ts';
import { smmCode, writeDescriptorTables, writeVmcb } from './structures.ts';

/** Bytes of the image: the guest's memory from address 0 on, up to where data begins. */
export const IMAGE_BYTES = 2 * 2 ** 20;

/** What the monitor loads, and what it is called. */
export interface BootImage {
  readonly name: string;
  /** `IMAGE_BYTES` of guest memory from address 0 on; the guest begins at 0:0x8000 in real mode. */
  readonly memory: Uint8Array;
  /** Phase n is `phases[n - 1]`. */
  readonly phases: readonly string[];
}

/**
 * The images of workloads. UserError when ops do not fit together, exist in the model only, or put structures over one
 * another, and when two workloads have one name.
 */
export function bootImages(workloads: readonly Workload[]): BootImage[] {
  const images = workloads.map(bootImage);
  const names = images.map(({ name }) => name);
  const twice = names.find((name, i) => names.indexOf(name) !== i);
  if (twice === undefined) return images;
  throw new UserError({ place: twice, found: 'two workloads of this name', expected: 'a name for each recording' });
}

/** The memory that a workload's guest finds at its start. */
export function bootImage(workload: Workload): BootImage {
  checkRecordable(workload);
  const { image, program } = lowerLocated(workload);
  return { name: workload.name, memory: memoryOf(image, program), phases: program.phases };
}

/** Files that the monitor takes: `<workload>.img`, and `<workload>.phases` with a name a line. */
export const imageFiles = (images: readonly BootImage[]): Map<string, Uint8Array | string> =>
  new Map(
    images.flatMap(({ name, memory, phases }): [string, Uint8Array | string][] => [
      [`${name}.img`, memory],
      [`${name}.phases`, phases.map((phase) => `${phase}\n`).join('')],
    ]),
  );

function memoryOf(image: GuestImage, program: Program): Uint8Array {
  const memory = new Uint8Array(IMAGE_BYTES);
  const view = new DataView(memory.buffer);
  writeDescriptorTables(view, program.handlers);
  memory.set(programCode(program), program.code.address);
  memory.set(smmCode(program.smm), at.smmHandler);
  for (const vmcb of image.vmcbs.values()) writeVmcb(view, vmcb);
  writeTables(view, image);
  return memory;
}

function writeTables(view: DataView, { entries }: GuestImage): void {
  for (let i = 0; i < entries.count; i++) {
    const bytes = entries.bytes[i]!;
    const address = entries.frame[i]! * 4096 + entries.index[i]! * bytes;
    view.setUint32(address, entries.lo[i]!, true);
    if (bytes === 8) view.setUint32(address + 4, entries.hi[i]!, true);
  }
}
