// SPDX-License-Identifier: GPL-2.0-only
import { spawnSync } from 'node:child_process';
import { UserError } from '../../errors.ts';

/** A program of the machine that recording needs. */
export interface Tool {
  readonly command: string;
  /** Debian package that has it. */
  readonly package: string;
}

export const tools = {
  cc: { command: 'cc', package: 'gcc libc6-dev' },
  dpkg: { command: 'dpkg-deb', package: 'dpkg' },
  xz: { command: 'xz', package: 'xz-utils' },
  zstd: { command: 'zstd', package: 'zstd' },
  qemu: { command: 'qemu-system-x86_64', package: 'qemu-system-x86' },
} as const satisfies Record<string, Tool>;

/** Result of a tool that ran to its end, or was stopped after `seconds`. */
export interface Ran {
  readonly status: number | null;
  readonly stdout: Buffer;
  readonly stderr: string;
  readonly stopped: boolean;
}

const MAX_OUTPUT = 2 ** 30;

/** Runs a tool. UserError when the machine does not have it. */
export function run(tool: Tool, args: readonly string[], seconds?: number): Ran {
  const timeout = seconds === undefined ? {} : { timeout: seconds * 1000, killSignal: 'SIGKILL' as const };
  const { error, status, stdout, stderr } = spawnSync(tool.command, args, {
    stdio: ['ignore', 'pipe', 'pipe'],
    maxBuffer: MAX_OUTPUT,
    ...timeout,
  });
  const code = (error as NodeJS.ErrnoException | undefined)?.code;
  if (code === 'ENOENT') {
    throw new UserError({
      place: tool.command,
      found: 'no such program',
      expected: `${tool.command} in PATH`,
      suggestion: `apt-get install ${tool.package}`,
    });
  }
  if (error && code !== 'ETIMEDOUT') throw error;
  return { status, stdout, stderr: stderr.toString('utf8'), stopped: code === 'ETIMEDOUT' };
}

/** The same for a tool that must succeed; `what` it was to do, for the message. */
export function runWell(tool: Tool, args: readonly string[], what: string): Buffer {
  const { status, stdout, stderr } = run(tool, args);
  if (status === 0) return stdout;
  const lines = stderr.trim().split('\n').slice(0, 5).join('\n    ');
  throw new UserError({ place: tool.command, found: `cannot ${what}:\n    ${lines}`, expected: 'exit code 0' });
}
