// SPDX-License-Identifier: GPL-2.0-only
import type { Host } from '../sim/host.ts';
import { EFER } from '../sim/registers.ts';
import type { Step } from '../workload/program.ts';

/** Why the host's CPU cannot do what a step asks for. */
export interface Lack {
  readonly feature: 'svm' | 'vmx';
  /** null: another step of the same op says it. */
  readonly reason: string | null;
  /** The step is left out; otherwise it is executed without what is lacking. */
  readonly leavesOut: boolean;
}

const needsAmd = 'not on this host: SVM needs an AMD host';
const needsIntel = 'not on this host: VMX needs an Intel host';

/**
 * Steps that belong to the other vendor's CPUs. A guest that executed them would get #UD, or #GP for a register; workloads
 * are not written for that, so the replay leaves them out and says it. APM vol. 3 VMRUN; SDM vol. 3D VMLAUNCH.
 */
export class HostLimits {
  readonly #vendor: Host['vendor'];
  /** vCPUs whose program has EFER.SVME set: it never reads the register, so later values carry the bit too. */
  readonly #svme = new Set<number>();

  constructor(vendor: Host['vendor']) {
    this.#vendor = vendor;
  }

  /** What the step lacks here; `efer` is the vCPU's register before it. */
  lacks(step: Step, efer: number): Lack | null {
    const { kind, vcpu } = step;
    if (this.#vendor === 'svm') {
      if (kind !== 'vmentry') return null;
      return { feature: 'vmx', reason: `${needsIntel}; the guest would get #UD`, leavesOut: true };
    }
    switch (kind) {
      case 'vmrun':
        return { feature: 'svm', reason: `${needsAmd}; the guest would get #UD`, leavesOut: true };
      // VM_HSAVE_PA of `svmon`, behind its write of EFER.
      case 'wrmsr':
        return { feature: 'svm', reason: null, leavesOut: true };
      case 'efer': {
        const had = this.#svme.has(vcpu);
        if ((step.value & EFER.SVME) === 0) this.#svme.delete(vcpu);
        else this.#svme.add(vcpu);
        if (had || (step.value & EFER.SVME) === 0) return null;
        const alone = ((this.efer(step.value) ^ efer) & ~EFER.LMA) === 0;
        return { feature: 'svm', reason: `${needsAmd}; the guest would get #GP`, leavesOut: alone };
      }
      default:
        return null;
    }
  }

  /** A value for EFER without what the host's CPU does not have. */
  efer(value: number): number {
    return this.#vendor === 'svm' ? value : value & ~EFER.SVME;
  }
}
