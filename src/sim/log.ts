// SPDX-License-Identifier: GPL-2.0-only

/** One line of the log: a kernel function that was called, or something it did. */
export interface LogEntry {
  readonly kind: 'call' | 'note';
  /** Kernel function name for a call; a short name such as `req_mmu_sync` or `hw_load_pgd` for a note. */
  readonly name: string;
  readonly detail: string;
  /** Number of probed functions around it. */
  readonly depth: number;
}

/** Why the current root was lost. */
export interface Reason {
  /** Kernel function that decided, e.g. `kvm_post_set_cr0`; `` when no port function claimed the decision. */
  readonly by: string;
  /** What it looked at, e.g. `CR0.WP`; `` when it was no register. */
  readonly bits: string;
  /** Probed functions that were running, outermost first. */
  readonly chain: readonly string[];
}

/**
 * What happened inside the kernel, in order. Entries are kept only while `keep` is on; reasons of root loads always are.
 * Nothing here is reached by a guest access that hits the TLB or walks without an exit.
 */
export class EventLog {
  keep = false;
  /** Takes the names of probed functions that are called, when there is one: what `keep` would note of them, and no text. */
  calls: string[] | null = null;
  /** Vectors that replace MMU functions by recorders set this: a probed function is noted and its body skipped. */
  recordCallsOnly = false;
  /** Probed functions whose bodies run all the same: vectors that tell what such a function consists of name it here. */
  readonly expanded = new Set<string>();
  #entries: LogEntry[] = [];
  /** Probed functions that are running, outermost first: the first `#depth`. What is behind them is old. */
  readonly #chain: string[] = [];
  #depth = 0;
  #by = '';
  #bits = '';
  /** Whether the current root was lost, and then what was said and what was running. */
  #lost = false;
  #lostBy = '';
  #lostBits = '';
  readonly #lostChain: string[] = [];
  /** Called for each root load, with the reason the previous root was lost (null for a first load). */
  onRootLoad: ((reason: Reason | null) => void) | null = null;
  /** Called for each call of a probed function, and of one that only `called` names, with the probed function around it. */
  onCall: ((name: string, caller: string) => void) | null = null;

  note(name: string, detail: string | number = ''): void {
    if (this.keep) this.#entries.push({ kind: 'note', name, detail: String(detail), depth: this.#depth });
  }

  /** A function that is of interest by its name alone: it is no entry, and opens no chain. */
  called(name: string): void {
    if (this.onCall !== null) this.onCall(name, this.#caller());
  }

  /** Enters a probed function. */
  enter(name: string, detail: string): void {
    if (this.onCall !== null) this.onCall(name, this.#caller());
    if (this.calls !== null) this.calls.push(name);
    if (this.keep) this.#entries.push({ kind: 'call', name, detail, depth: this.#depth });
    this.#chain[this.#depth++] = name;
  }

  leave(): void {
    this.#depth--;
  }

  #caller(): string {
    return this.#depth === 0 ? '' : this.#chain[this.#depth - 1]!;
  }

  /** The port says which register bits (or which other cause) made `by` act; holds until the next call of this. */
  because(by: string, bits: string): void {
    this.#by = by;
    this.#bits = bits;
  }

  /** The current root became invalid, here and now. The first loss before a load is the one that counts. */
  rootLost(): void {
    if (this.#lost) return;
    this.#lost = true;
    this.#lostBy = this.#by;
    this.#lostBits = this.#bits;
    this.#lostChain.length = 0;
    for (let i = 0; i < this.#depth; i++) this.#lostChain.push(this.#chain[i]!);
  }

  /** A lookup found a usable root again, so the loss led to no load. */
  rootFound(): void {
    this.#lost = false;
  }

  /** A root was built or taken for the current MMU. */
  rootLoaded(): void {
    if (this.onRootLoad !== null) this.onRootLoad(this.#lost ? this.#reason() : null);
    this.#lost = false;
  }

  #reason(): Reason {
    return { by: this.#lostBy, bits: this.#lostBits, chain: [...this.#lostChain] };
  }

  /** The entries since the last call. */
  take(): LogEntry[] {
    const entries = this.#entries;
    this.#entries = [];
    return entries;
  }
}

/** Anything that leads to the log, such as a port's vCPU. */
export interface Logged {
  readonly log: EventLog;
}

/**
 * A kernel function with a probe on its entry, like a kprobe: calls are logged by name. While the log records calls
 * only, the body is skipped and the call returns `skipped`.
 */
export function probe<V extends Logged, A extends unknown[], R>(
  name: string,
  body: (vcpu: V, ...args: A) => R,
  options: { readonly skipped: R; readonly detail?: (...args: A) => string },
): (vcpu: V, ...args: A) => R {
  // At most four arguments: gathering them into an array and spreading it again costs more than most bodies.
  const { skipped, detail } = options;
  const run = body as (vcpu: V, ...args: unknown[]) => R;
  const say = detail as ((...args: unknown[]) => string) | undefined;
  if (body.length > 5) throw new Error(`probe: ${name} has too many arguments`);
  const probed = (vcpu: V, a?: unknown, b?: unknown, c?: unknown, d?: unknown): R => {
    const { log } = vcpu;
    log.enter(name, log.keep && say !== undefined ? say(a, b, c, d) : '');
    try {
      return log.recordCallsOnly && !log.expanded.has(name) ? skipped : run(vcpu, a, b, c, d);
    } finally {
      log.leave();
    }
  };
  // The arguments of the body, which optional parameters cannot express.
  return probed as unknown as (vcpu: V, ...args: A) => R;
}
