// SPDX-License-Identifier: GPL-2.0-only
import { UserError } from '../errors.ts';
import { assemble } from './assemble.ts';
import { Context } from './context.ts';
import type { GuestImage } from './image.ts';
import { lowerBlock } from './lower-blocks.ts';
import { checkRun, lowerEvent } from './lower-events.ts';
import { lowerMemory } from './lower-memory.ts';
import { lowerRegister } from './lower-registers.ts';
import { lowerSetup } from './lower-setup.ts';
import { OpMistake } from './mistakes.ts';
import { isBlock, type Op, type Workload } from './ops.ts';
import type { Program } from './program.ts';

/** What a workload comes to. */
export interface Lowered {
  readonly image: GuestImage;
  readonly program: Program;
}

/** Goes through the ops in source order, as the guest's author meant them. Throws an OpMistake at the first that does not fit. */
export function lower(workload: Workload): Lowered {
  const context = new Context();
  for (const op of workload.ops) lowerOp(context, op);
  for (const run of context.runs) checkRun(context, run);
  return assemble(workload.name, context);
}

/** By workload: one is replayed under many eras, and every replay asks twice. */
const lowered = new WeakMap<Workload, Lowered>();

/** The same with a UserError that names workload and line. The result is kept as long as the workload is, for all who ask. */
export function lowerLocated(workload: Workload): Lowered {
  const known = lowered.get(workload);
  if (known !== undefined) return known;
  try {
    const result = lower(workload);
    lowered.set(workload, result);
    return result;
  } catch (error) {
    if (!(error instanceof OpMistake)) throw error;
    const { found, expected, suggestion } = error.slip;
    const place = `${workload.name}:${error.op.line}`;
    throw new UserError({ place, found, expected, ...(suggestion === undefined ? {} : { suggestion }) });
  }
}

function lowerOp(context: Context, op: Op): void {
  if (isBlock(op)) {
    lowerBlock(context, op, () => {
      for (const each of op.body) lowerOp(context, each);
    });
    return;
  }
  switch (op.op) {
    case 'pt':
    case 'map':
    case 'ident':
    case 'vmcb':
    case 'vmcs':
    case 'smmphase':
    case 'smmclear':
    case 'vcpus':
      lowerSetup(context, op);
      break;
    case 'prot32':
    case 'far64':
    case 'far32':
    case 'enterlong':
    case 'cr0':
    case 'cr4':
    case 'cr4try':
    case 'efer':
    case 'cr3':
    case 'wrpkru':
    case 'stac':
    case 'clac':
    case 'svmon':
      lowerRegister(context, op, (each) => lowerOp(context, each));
      break;
    case 'phase':
    case 'smi':
    case 'halt':
    case 'vmrun':
    case 'vmentry':
    case 'memslot':
      lowerEvent(context, op);
      break;
    default:
      lowerMemory(context, op);
      break;
  }
}
