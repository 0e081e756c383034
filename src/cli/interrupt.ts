// SPDX-License-Identifier: GPL-2.0-only
import { exit } from './exit.ts';

const codes = { SIGINT: exit.interrupted, SIGTERM: exit.terminated } as const;

/** An interruption that lets the work end in order. */
export interface Interrupt {
  readonly signal: AbortSignal;
  /** Exit code of the signal that came, null when none did. */
  code(): (typeof codes)[keyof typeof codes] | null;
  /** From now on signals end the process again. */
  release(): void;
}

/** Turns Ctrl-C and SIGTERM into an aborted signal; the second one ends the process at once. */
export function interruptible(): Interrupt {
  const controller = new AbortController();
  let code: (typeof codes)[keyof typeof codes] | null = null;
  const hear = (name: keyof typeof codes): void => {
    if (code !== null) process.exit(codes[name]);
    code = codes[name];
    controller.abort();
  };
  const names = Object.keys(codes) as (keyof typeof codes)[]; // the table's keys, which the type of keys does not say
  for (const name of names) process.on(name, hear);
  return {
    signal: controller.signal,
    code: () => code,
    release: () => {
      for (const name of names) process.off(name, hear);
    },
  };
}
