// SPDX-License-Identifier: GPL-2.0-only
import { vi } from 'vitest';
import yargs from 'yargs';
import type { Command } from '../../src/cli/commands.ts';

/** What a command wrote to standard output, and its exit code. */
export interface Captured {
  readonly stdout: string;
  readonly code: number;
}

/** Runs a command with its own options parsed by yargs, as the command line does, and catches what it writes. */
export async function runCommand(command: Command, argv: readonly string[]): Promise<Captured> {
  let stdout = '';
  let code = -1;
  const write = vi.spyOn(process.stdout, 'write').mockImplementation((chunk) => {
    stdout += String(chunk);
    return true;
  });
  try {
    await yargs([command.usage.split(' ')[0]!, ...argv])
      .command(
        command.usage,
        'under test',
        (options) => command.build(options),
        async (args) => {
          code = await command.run(args);
        },
      )
      .strict()
      .exitProcess(false)
      .fail((message, error) => {
        throw error ?? new Error(message);
      })
      .parseAsync();
  } finally {
    write.mockRestore();
  }
  return { stdout, code };
}
