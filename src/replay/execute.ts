// SPDX-License-Identifier: GPL-2.0-only
import type { Era, Feature } from '../era.ts';
import { CR4 } from '../sim/registers.ts';
import { length, only } from '../workload/encoding.ts';
import { PageStream } from '../workload/page-stream.ts';
import type { Program, Step, Touch } from '../workload/program.ts';
import { numberOf, pageOf, plus, u64, u64Of } from '../workload/u64.ts';
import { type Guest, GuestStopped } from './guest.ts';
import { HostLimits } from './host-limits.ts';
import type { Machine, MachineVcpu } from './machine.ts';
import type { NestedStates } from './nested-state.ts';
import type { Recorder } from './recorder.ts';
import { describeWrite, writeNatively, writeThrough } from './register-write.ts';

type StepOf<K extends Step['kind']> = Extract<Step, { readonly kind: K }>;

/** Everything the execution of steps needs. */
export interface Execution {
  readonly era: Era;
  readonly program: Program;
  readonly machine: Machine;
  readonly guest: Guest;
  readonly nested: NestedStates;
  readonly recorder: Recorder;
  /** Source text of a line, for records. */
  readonly opText: (line: number) => string;
}

/** Register values are 32 bits wide but CR3, and bit 63 of a CR3 write says "do not flush". */
const NOFLUSH = 0x80000000;

/** Runs a program on one machine, step by step, until its end or until the guest stops. */
export class Executor {
  readonly #x: Execution;
  readonly #limits: HostLimits;
  /** vCPUs that have loaded TR. */
  readonly #tasks = new Set<MachineVcpu>();
  #executed = 0;
  #line = 0;

  constructor(execution: Execution) {
    this.#x = execution;
    this.#limits = new HostLimits(execution.machine.vm.host.vendor);
  }

  /** Steps executed so far, rounds of loops counted each. */
  get executed(): number {
    return this.#executed;
  }

  /** Line of the step that runs now. */
  get line(): number {
    return this.#line;
  }

  run(): void {
    const { guest, machine, program } = this.#x;
    for (const vcpu of machine.vcpus) guest.enter(vcpu);
    this.#steps(program.steps);
    // Behind the last op stands a HLT of its own; vCPU 0 ends the run.
    if (program.steps.at(-1)?.kind !== 'halt') this.#halt(machine.vcpus[0]!, program.endAddress);
  }

  #halt(vcpu: MachineVcpu, address: number): void {
    const { guest, recorder } = this.#x;
    this.#fetch(vcpu, address);
    recorder.exit('halt');
    guest.skip(vcpu, address, only.hlt);
  }

  #steps(steps: readonly Step[]): void {
    for (const step of steps) this.#step(step);
  }

  #step(step: Step): void {
    const { machine, recorder, opText } = this.#x;
    const vcpu = machine.vcpus[step.vcpu]!;
    this.#line = step.line;
    this.#x.guest.codeBits = step.bits;
    recorder.beginStep({ step: this.#executed++, line: step.line, op: opText(step.line), vcpu: step.vcpu });
    const lack = this.#limits.lacks(step, vcpu.cpu.registers.efer);
    if (lack?.reason) {
      const { feature, reason } = lack;
      recorder.notInEra({ line: step.line, op: opText(step.line), feature, reason });
    }
    if (!lack?.leavesOut) {
      if (step.kind !== 'memslot') this.#prelude(vcpu, step);
      this.#perform(vcpu, step);
    }
    recorder.endStep(vcpu.kernel.view);
  }

  /** The fetch of the step's code, and what its code touches besides. */
  #prelude(vcpu: MachineVcpu, step: Step): void {
    const { codeAddress, codeBytes, touches } = step;
    this.#fetch(vcpu, codeAddress);
    const last = codeAddress + Math.max(codeBytes, 1) - 1;
    if (Math.floor(last / 4096) !== Math.floor(codeAddress / 4096)) this.#fetch(vcpu, last);
    // In virtual-8086 mode LGDT and MOV to CR0 fault, and are KVM's to execute: what they read is no access of the CPU.
    if (step.kind === 'cr0' && vcpu.kernel.execution() === 'vm86') return;
    this.#touch(vcpu, touches);
  }

  #fetch(vcpu: MachineVcpu, address: number): void {
    this.#x.guest.access(vcpu, u64Of(address), 'x');
  }

  #touch(vcpu: MachineVcpu, touches: readonly Touch[]): void {
    for (const touch of touches) this.#x.guest.touch(vcpu, touch);
  }

  #perform(vcpu: MachineVcpu, step: Step): void {
    const { guest, recorder, machine } = this.#x;
    switch (step.kind) {
      case 'cr0':
      case 'cr4':
        this.#writeRegister(vcpu, step, step.value, false);
        break;
      case 'efer':
        this.#writeRegister(vcpu, step, this.#limits.efer(step.value), false);
        break;
      case 'cr3': {
        const { lo, hi } = step.value;
        this.#writeRegister(vcpu, step, numberOf({ lo, hi: hi & ~NOFLUSH }), hi >= NOFLUSH);
        break;
      }
      case 'wrmsr':
        recorder.exit('wrmsr');
        guest.skip(vcpu, lastOf(step, WRMSR_BYTES), WRMSR_BYTES);
        guest.enter(vcpu);
        break;
      case 'far':
        if (step.ltr) this.#loadTaskRegister(vcpu);
        break;
      case 'access':
        guest.access(vcpu, step.gva, step.access);
        break;
      case 'touch':
        this.#touchLoop(vcpu, step);
        break;
      case 'bulk':
        this.#bulk(vcpu, step);
        break;
      case 'realread':
        guest.access(vcpu, u64(step.offset), 'r');
        break;
      case 'store':
        this.#store(vcpu, step);
        break;
      case 'invlpg':
        this.#invlpg(vcpu, step);
        break;
      case 'invpcid':
        this.#invpcid(vcpu, step);
        break;
      case 'wrpkru':
        // SDM vol. 2 WRPKRU: #UD while CR4.PKE is clear.
        if ((vcpu.cpu.registers.cr4 & CR4.PKE) === 0) {
          guest.undefined(vcpu, lastOf(step, WRPKRU_BYTES), WRPKRU_BYTES);
          break;
        }
        vcpu.cpu.registers.pkru = step.value;
        vcpu.cpu.registersChanged();
        break;
      case 'ac':
        // SDM vol. 2 STAC, CLAC: #UD in ring 3, or on a CPU without SMAP.
        if (vcpu.cpu.registers.cpl > 0 || !machine.vm.host.cpuid.smap) {
          guest.undefined(vcpu, lastOf(step, length.stac[step.bits]), length.stac[step.bits]);
          break;
        }
        vcpu.cpu.registers.rflagsAc = step.value;
        vcpu.cpu.registersChanged();
        break;
      case 'phase':
        guest.portAccess(vcpu, PHASE_PORT);
        recorder.exit('io');
        recorder.beginPhase(step.name);
        guest.enter(vcpu);
        break;
      case 'smi':
        this.#smi(vcpu, step);
        break;
      case 'halt':
        recorder.exit('halt');
        guest.skip(vcpu, step.codeAddress, only.hlt);
        break;
      case 'vmrun':
        this.#nested(vcpu, step, step.vmcb);
        break;
      case 'vmentry':
        this.#nested(vcpu, step, step.vmcs);
        break;
      case 'user':
        this.#user(vcpu, step);
        break;
      case 'repeat':
        for (let round = 0; round < step.count; round++) {
          this.#steps(step.body);
          this.#fetch(vcpu, step.closeAddress);
          this.#touch(vcpu, step.roundTouches);
        }
        break;
      case 'if':
        if (this.#has(step.feature, step)) this.#steps(step.body);
        break;
      case 'memslot':
        this.#x.machine.eraVm.memslotsChanged();
        for (const each of this.#x.machine.vcpus) guest.enter(each);
        break;
    }
  }

  /**
   * LTR marks the task state segment busy, and faults when it is (SDM vol. 2). The guest's handler then goes back to where
   * the far transfer begins, which is no 64-bit code.
   */
  #loadTaskRegister(vcpu: MachineVcpu): void {
    if (this.#tasks.has(vcpu))
      throw new GuestStopped('a second LTR: the task state segment is busy, #GP and #UD for ever');
    this.#tasks.add(vcpu);
  }

  #writeRegister(vcpu: MachineVcpu, step: RegisterStep, value: number, noflush: boolean): void {
    const { recorder, guest, machine } = this.#x;
    const { kernel, cpu } = vcpu;
    const register = step.kind;
    const write = describeWrite(register, cpu.registers[register], value);
    if (!kernel.intercepts(register, value)) {
      const result = writeNatively(cpu, register, value, noflush);
      recorder.writeEffect(write, result === 'gp' ? ['#GP'] : null);
      if (result === 'gp') guest.deliver(vcpu, 13, 0);
      return;
    }
    recorder.exit(`write ${register}`);
    recorder.registerWrite(register);
    const { log } = machine.vm;
    const calls: string[] = [];
    log.calls = calls;
    if (register !== 'efer') guest.decode(vcpu, lastOf(step, length.movCr[step.bits]), length.movCr[step.bits]);
    const result = writeThrough(vcpu, register, value, noflush);
    if (register === 'efer' && result === 'done') guest.skip(vcpu, lastOf(step, WRMSR_BYTES), WRMSR_BYTES);
    guest.enter(vcpu, result === 'gp');
    log.calls = null;
    recorder.writeEffect(write, result === 'gp' ? ['#GP'] : calls);
    if (result === 'gp') guest.deliver(vcpu, 13, 0);
  }

  #touchLoop(vcpu: MachineVcpu, { gva, access, count, stride }: StepOf<'touch'>): void {
    for (let i = 0; i < count; i++) {
      if (!this.#x.guest.access(vcpu, plus(gva, i * stride), access)) return;
    }
  }

  #bulk(vcpu: MachineVcpu, { gva, access, pages, count, distribution, seed }: StepOf<'bulk'>): void {
    const stream = new PageStream({ pages, distribution, seed });
    for (let i = 0; i < count; i++) {
      if (!this.#x.guest.access(vcpu, plus(gva, stream.next() * 4096), access)) return;
    }
  }

  #store(vcpu: MachineVcpu, { address, bytes, lo, hi, what, of }: StepOf<'store'>): void {
    if (!this.#x.guest.access(vcpu, u64Of(address), 'w', { bytes, lo, hi })) return;
    if (what === 'vmcb') this.#x.nested.store(of, address, numberOf(u64(lo, hi)));
  }

  #invlpg(vcpu: MachineVcpu, step: StepOf<'invlpg'>): void {
    const { guest, recorder } = this.#x;
    const address = pageOf(step.gva);
    if (!vcpu.kernel.interceptsInvalidation()) {
      vcpu.cpu.flushAddress(address);
      return;
    }
    recorder.exit('invlpg');
    guest.decode(vcpu, lastOf(step, length.invlpg[step.bits]), length.invlpg[step.bits]);
    vcpu.kernel.invlpg(address);
    guest.enter(vcpu);
  }

  #invpcid(vcpu: MachineVcpu, step: StepOf<'invpcid'>): void {
    const { guest, recorder } = this.#x;
    if (!this.#has('invpcid', step)) {
      guest.undefined(vcpu, lastOf(step, INVPCID_BYTES), INVPCID_BYTES);
      return;
    }
    if (!vcpu.kernel.interceptsInvalidation()) {
      if (invpcidFaults(vcpu, step)) guest.deliver(vcpu, 13, 0);
      else vcpu.cpu.flushGuest();
      return;
    }
    recorder.exit('invpcid');
    const result = vcpu.kernel.invpcid(step.type, step.pcid, pageOf(step.gva));
    guest.enter(vcpu, result === 'gp');
    if (result === 'gp') guest.deliver(vcpu, 13, 0);
  }

  /** OUT to port 0x511, the SMI, its handler, RSM. */
  #smi(vcpu: MachineVcpu, step: StepOf<'smi'>): void {
    const { guest, recorder, machine, program } = this.#x;
    guest.portAccess(vcpu, SMI_PORT);
    recorder.exit('io');
    if (!this.#supports('smm', step) || !vcpu.kernel.smi || !vcpu.kernel.rsm) {
      guest.enter(vcpu);
      return;
    }
    vcpu.kernel.smi();
    guest.enter(vcpu);
    const { smm } = program;
    this.#fetch(vcpu, smm.codeAddress);
    this.#touch(vcpu, smm.saves);
    guest.portAccess(vcpu, PHASE_PORT);
    recorder.exit('io');
    if (smm.phaseName !== undefined) recorder.beginPhase(smm.phaseName);
    guest.enter(vcpu);
    for (const address of smm.clears) {
      const value = machine.memory.read32(address);
      guest.update(vcpu, u64Of(address), { bytes: 4, lo: value & ~0x20, hi: 0 });
    }
    this.#touch(vcpu, smm.restores);
    recorder.exit('rsm');
    guest.emulated(vcpu, smm.codeAddress + smm.codeBytes - 2, 2);
    vcpu.kernel.rsm();
    guest.enter(vcpu);
  }

  /** L1 runs an L2 block, under SVM or VMX. */
  #nested(vcpu: MachineVcpu, step: StepOf<'vmrun'> | StepOf<'vmentry'>, name: string): void {
    const { guest, recorder, nested } = this.#x;
    const { kernel, cpu } = vcpu;
    const svm = step.kind === 'vmrun';
    const state = nested.entry(name);
    const feature = nestedFeature(svm, state.pointer !== null);
    const [enter, leave] = svm ? [kernel.vmrun, kernel.vmexit] : [kernel.vmentry, kernel.nestedVmexit];
    if (svm) this.#svmInstruction(vcpu, step, 'vmload');
    recorder.exit(svm ? 'vmrun' : 'vmentry');
    if (!this.#supports(feature, step) || !enter || !leave) {
      guest.enter(vcpu);
      return;
    }
    // RIP is moved behind the instruction first: the exit from L2 comes back there.
    if (svm) guest.skip(vcpu, step.codeAddress + vmrunParts.vmrun, SVM_BYTES);
    enter.call(kernel, state);
    guest.enter(vcpu);
    // An entry can fail, e.g. because L1 asks for nested paging where it is not offered: L1 goes on behind it.
    if (kernel.view.isGuestMode()) {
      this.#steps(step.block.body);
      this.#fetch(vcpu, step.block.closeAddress);
      recorder.exit('l2 exit');
      nested.save(name, cpu.registers);
      leave.call(kernel);
      guest.enter(vcpu);
    }
    if (step.kind !== 'vmrun') return;
    this.#svmInstruction(vcpu, step, 'vmsave');
    this.#touch(vcpu, step.afterTouches);
  }

  /** VMLOAD and VMSAVE leave the guest, and KVM does their work. */
  #svmInstruction(vcpu: MachineVcpu, step: Step, name: 'vmload' | 'vmsave'): void {
    const { guest, recorder } = this.#x;
    const address = step.codeAddress + vmrunParts[name];
    guest.fetchSpecial(vcpu, address);
    recorder.exit(name);
    guest.skip(vcpu, address, SVM_BYTES);
    guest.enter(vcpu);
  }

  #user(vcpu: MachineVcpu, step: StepOf<'user'>): void {
    const { guest, program } = this.#x;
    const { registers } = vcpu.cpu;
    registers.cpl = 3;
    this.#steps(step.body);
    this.#fetch(vcpu, step.closeAddress);
    guest.softwareInterrupt(vcpu, step.afterTouches, { address: step.closeAddress, bytes: only.int80 });
    this.#fetch(vcpu, program.handlers.int80);
  }

  /** Whether the guest sees the feature: the CPU model has it, and the kernel lets it through. */
  #has(feature: Extract<Feature, 'pcid' | 'invpcid' | 'smep' | 'smap' | 'pku' | 'la57'>, step: Step): boolean {
    return this.#x.machine.vm.host.cpuid[feature] && this.#supports(feature, step);
  }

  #supports(feature: Feature, step: Step): boolean {
    if (this.#x.era.features.has(feature)) return true;
    const { recorder, opText } = this.#x;
    recorder.notInEra({ line: step.line, op: opText(step.line), feature, reason: `not in this era: ${feature}` });
    return false;
  }
}

type RegisterStep = StepOf<'cr0' | 'cr3' | 'cr4' | 'efer'>;

/** Ports of the monitor: a phase marker, a request for an SMI. */
const PHASE_PORT = 0x510;
const SMI_PORT = 0x511;

const WRMSR_BYTES = 2;
const WRPKRU_BYTES = 3;
const INVPCID_BYTES = 11;

/** SDM vol. 2 INVPCID: #GP for an unknown type, a PCID that is none, or one that is not 0 while CR4.PCIDE is clear. */
function invpcidFaults({ cpu }: MachineVcpu, { type, pcid }: StepOf<'invpcid'>): boolean {
  const enabled = (cpu.registers.cr4 & CR4.PCIDE) !== 0;
  return type > 3 || pcid > 0xfff || (type < 2 && !enabled && pcid !== 0);
}

const SVM_BYTES = 3;

/** Offsets in the code of a `vmrun`: MOV RAX,imm64; MOV [rip field],RAX; MOV EAX,imm32; CLGI; VMLOAD; VMRUN; VMSAVE; STGI. */
const vmrunParts = { vmload: 26, vmrun: 29, vmsave: 32 } as const;

/** Address of the last instruction of a step's own code. */
const lastOf = ({ codeAddress, codeBytes }: Step, bytes: number): number => codeAddress + codeBytes - bytes;

const nestedFeature = (svm: boolean, ownTables: boolean): Feature =>
  svm ? (ownTables ? 'nested-svm-npt' : 'nested-svm') : ownTables ? 'nested-vmx-ept' : 'nested-vmx';
