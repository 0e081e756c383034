// SPDX-License-Identifier: GPL-2.0-only
import type { Era, Feature } from '../era.ts';
import { PageStream } from '../workload/page-stream.ts';
import type { Program, Step, Touch } from '../workload/program.ts';
import { numberOf, plus, type U64, u64, u64Of } from '../workload/u64.ts';
import type { Guest } from './guest.ts';
import type { Machine, MachineVcpu } from './machine.ts';
import type { NestedStates } from './nested-state.ts';
import type { Recorder } from './recorder.ts';
import { describeWrite, type Register, writeNatively, writeThrough } from './register-write.ts';

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
  #executed = 0;
  #line = 0;

  constructor(execution: Execution) {
    this.#x = execution;
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
    for (const vcpu of this.#x.machine.vcpus) this.#x.guest.enter(vcpu);
    this.#steps(this.#x.program.steps);
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
    if (step.kind !== 'repeat' && step.kind !== 'if' && step.kind !== 'memslot') this.#prelude(vcpu, step);
    this.#perform(vcpu, step);
    recorder.endStep(vcpu.kernel.view);
  }

  /** The fetch of the step's code, and what its code touches besides. */
  #prelude(vcpu: MachineVcpu, step: Step): void {
    const { codeAddress, codeBytes, touches } = step;
    this.#fetch(vcpu, codeAddress);
    const last = codeAddress + Math.max(codeBytes, 1) - 1;
    if (Math.floor(last / 4096) !== Math.floor(codeAddress / 4096)) this.#fetch(vcpu, last);
    this.#touch(vcpu, touches);
  }

  #fetch(vcpu: MachineVcpu, address: number): void {
    this.#x.guest.access(vcpu, u64Of(address), 'x');
  }

  #touch(vcpu: MachineVcpu, touches: readonly Touch[]): void {
    for (const touch of touches) this.#x.guest.touch(vcpu, touch);
  }

  #perform(vcpu: MachineVcpu, step: Step): void {
    const { guest, recorder } = this.#x;
    switch (step.kind) {
      case 'cr0':
      case 'cr4':
      case 'efer':
        this.#writeRegister(vcpu, step.kind, step.value, false);
        break;
      case 'cr3':
        this.#writeRegister(
          vcpu,
          'cr3',
          numberOf({ lo: step.value.lo, hi: step.value.hi & ~NOFLUSH }),
          step.value.hi >= NOFLUSH,
        );
        break;
      case 'wrmsr':
        guest.bounce(vcpu, 'wrmsr');
        break;
      case 'far':
        break;
      case 'access':
        guest.access(vcpu, plus(step.gva, step.access === 'r' ? 0x10 : step.access === 'w' ? 0x18 : 0), step.access);
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
        this.#invlpg(vcpu, step.gva);
        break;
      case 'invpcid':
        this.#invpcid(vcpu, step);
        break;
      case 'wrpkru':
        vcpu.cpu.registers.pkru = step.value;
        vcpu.cpu.registersChanged();
        break;
      case 'ac':
        vcpu.cpu.registers.rflagsAc = step.value;
        vcpu.cpu.registersChanged();
        break;
      case 'phase':
        recorder.exit('io');
        recorder.beginPhase(step.name);
        guest.enter(vcpu);
        break;
      case 'smi':
        this.#smi(vcpu, step);
        break;
      case 'halt':
        recorder.exit('halt');
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

  #writeRegister(vcpu: MachineVcpu, register: Register, value: number, noflush: boolean): void {
    const { recorder, guest, machine } = this.#x;
    const { kernel, cpu } = vcpu;
    const write = describeWrite(register, cpu.registers[register], value);
    if (!kernel.intercepts(register, value)) {
      writeNatively(cpu, register, value, noflush);
      recorder.writeEffect(write, null);
      return;
    }
    recorder.exit(`write ${register}`);
    recorder.registerWrite(register);
    const { log } = machine.vm;
    log.keep = true;
    const result = writeThrough(vcpu, register, value, noflush);
    guest.enter(vcpu);
    log.keep = false;
    const calls = log.take().filter(({ kind }) => kind === 'call');
    recorder.writeEffect(write, result === 'gp' ? ['#GP'] : calls.map(({ name }) => name));
    if (result === 'gp') guest.deliver(vcpu, 13, 0, 0);
  }

  #touchLoop(vcpu: MachineVcpu, { gva, access, count, stride }: StepOf<'touch'>): void {
    const offset = access === 'r' ? 0x10 : 0x18;
    for (let i = 0; i < count; i++) {
      if (!this.#x.guest.access(vcpu, plus(gva, i * stride + offset), access)) return;
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

  #invlpg(vcpu: MachineVcpu, gva: U64): void {
    const { guest, recorder } = this.#x;
    const address = numberOf(gva);
    if (!vcpu.kernel.interceptsInvalidation()) {
      vcpu.cpu.flushAddress(address);
      return;
    }
    recorder.exit('invlpg');
    vcpu.kernel.invlpg(address);
    guest.enter(vcpu);
  }

  #invpcid(vcpu: MachineVcpu, step: StepOf<'invpcid'>): void {
    const { guest, recorder } = this.#x;
    if (!this.#has('invpcid', step)) {
      guest.deliver(vcpu, 6, 0, 0);
      return;
    }
    if (!vcpu.kernel.interceptsInvalidation()) {
      vcpu.cpu.flushGuest();
      return;
    }
    recorder.exit('invpcid');
    const result = vcpu.kernel.invpcid(step.type, step.pcid, numberOf(step.gva));
    guest.enter(vcpu);
    if (result === 'gp') guest.deliver(vcpu, 13, 0, 0);
  }

  /** OUT to port 0x511, the SMI, its handler, RSM. */
  #smi(vcpu: MachineVcpu, step: StepOf<'smi'>): void {
    const { guest, recorder, machine, program } = this.#x;
    recorder.exit('io');
    if (!this.#supports('smm', step) || !vcpu.kernel.smi || !vcpu.kernel.rsm) {
      guest.enter(vcpu);
      return;
    }
    vcpu.kernel.smi();
    guest.enter(vcpu);
    const { smm } = program;
    this.#fetch(vcpu, smm.codeAddress);
    recorder.exit('io');
    if (smm.phaseName !== undefined) recorder.beginPhase(smm.phaseName);
    guest.enter(vcpu);
    for (const address of smm.clears) {
      const value = machine.memory.read32(address);
      guest.access(vcpu, u64Of(address), 'w', { bytes: 4, lo: value & ~0x20, hi: 0 });
    }
    recorder.exit('rsm');
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
    recorder.exit(svm ? 'vmrun' : 'vmentry');
    if (!this.#supports(feature, step) || !enter || !leave) {
      guest.enter(vcpu);
      return;
    }
    enter.call(kernel, state);
    guest.enter(vcpu);
    if (!kernel.view.isGuestMode()) {
      // The entry failed, e.g. because L1 asks for nested paging where it is not offered: L1 goes on behind it.
      if (svm) this.#touch(vcpu, (step as StepOf<'vmrun'>).afterTouches);
      return;
    }
    this.#steps(step.block.body);
    this.#fetch(vcpu, step.block.closeAddress);
    recorder.exit('l2 exit');
    nested.save(name, cpu.registers);
    leave.call(kernel);
    guest.enter(vcpu);
    if (svm) this.#touch(vcpu, (step as StepOf<'vmrun'>).afterTouches);
  }

  #user(vcpu: MachineVcpu, step: StepOf<'user'>): void {
    const { cpu } = vcpu;
    cpu.registers.cpl = 3;
    this.#steps(step.body);
    this.#fetch(vcpu, step.closeAddress);
    cpu.registers.cpl = 0;
    this.#touch(vcpu, step.afterTouches);
  }

  /** Whether the guest sees the feature: the CPU model has it, and the kernel lets it through. */
  #has(feature: Extract<Feature, 'pcid' | 'invpcid' | 'smep' | 'smap' | 'pku' | 'la57'>, step: Step): boolean {
    return this.#x.machine.vm.host.cpuid[feature] && this.#supports(feature, step);
  }

  #supports(feature: Feature, step: Step): boolean {
    if (this.#x.era.features.has(feature)) return true;
    this.#x.recorder.notInEra(step.line, this.#x.opText(step.line), feature);
    return false;
  }
}

const nestedFeature = (svm: boolean, ownTables: boolean): Feature =>
  svm ? (ownTables ? 'nested-svm-npt' : 'nested-svm') : ownTables ? 'nested-vmx-ept' : 'nested-vmx';
