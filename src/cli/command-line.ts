// SPDX-License-Identifier: GPL-2.0-only
import { nearest, UserError } from '../errors.ts';
import { diskReason } from '../files.ts';
import { projectRoot } from '../root.ts';
import { type CommandEntry, commands } from './commands.ts';
import { type ExitCode, exit } from './exit.ts';

/** Returns the exit code. */
async function main(argv: readonly string[]): Promise<ExitCode> {
  const [name, ...rest] = argv;
  if (name === undefined || name === '--help' || name === '-h' || name === 'help') {
    process.stdout.write(help());
    return exit.ok;
  }
  if (name === '--version' || name === '-v') {
    process.stdout.write(`${projectRoot().version}\n`);
    return exit.ok;
  }
  const [second] = rest;
  // A command of two words, as `sweep merge`.
  const both = commands[`${name} ${second}`];
  if (second !== undefined && both) return await runCommand(both, rest, `mmu-eras ${name}`);
  const entry = commands[name];
  if (!entry) throw unknownCommand(name);
  return await runCommand(entry, [name, ...rest]);
}

/** Parses the options of one command with yargs and runs it. */
async function runCommand(entry: CommandEntry, argv: string[], script = 'mmu-eras'): Promise<ExitCode> {
  const [{ default: yargs }, command] = await Promise.all([import('yargs'), entry.load()]);
  let code: ExitCode = exit.ok;
  await yargs(argv)
    .scriptName(script)
    .command(
      command.usage,
      entry.describe,
      (options) => command.build(options),
      async (args) => {
        code = await command.run(args);
      },
    )
    .strict()
    .version(false)
    .help()
    .wrap(Math.min(120, process.stdout.columns ?? 120))
    .exitProcess(false)
    .fail((message, error) => {
      // What yargs itself cannot parse it throws as well.
      if (error && error.name !== 'YError') throw error;
      throw new UserError({
        place: `${script} ${argv[0]}`,
        found: message ?? 'arguments that do not parse',
        expected: command.usage,
        suggestion: `${script} ${argv[0]} --help`,
      });
    })
    .parseAsync();
  return code;
}

function help(): string {
  const width = Math.max(0, ...Object.keys(commands).map((name) => name.length));
  const lines = Object.entries(commands).map(([name, { describe }]) => `  ${name.padEnd(width)}  ${describe}`);
  return [
    'mmu-eras <command> [options]',
    '',
    'Replays one guest workload under the KVM MMU role code of several Linux kernels, and shows what differs and why.',
    '',
    ...lines,
    '',
    'mmu-eras <command> --help tells the options of a command.',
    'Exit code: 0 fine or no difference, 1 a difference was found, 2 it could not run, 130 interrupted.',
    '',
  ].join('\n');
}

function unknownCommand(name: string): UserError {
  const names = Object.keys(commands);
  const near = nearest(name, names);
  return new UserError({
    place: 'mmu-eras',
    found: `unknown command "${name}"`,
    expected: `one of ${names.join(', ')}`,
    suggestion: near ? `mmu-eras ${near}` : 'mmu-eras --help',
  });
}

// A reader that closes the pipe early (`mmu-eras … | head`) ends us quietly.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code === 'EPIPE') process.exit(process.exitCode ?? exit.ok);
  const found = diskReason(error);
  if (found === undefined) throw error;
  process.stderr.write(`standard output: ${found}\n`);
  process.exit(exit.failed);
});

/** Runs one command line (without node and script name); sets the exit code of the process. Rejects for our own mistakes. */
export async function run(argv: readonly string[]): Promise<void> {
  try {
    process.exitCode = await main(argv);
  } catch (error) {
    if (!(error instanceof UserError)) throw error;
    process.stderr.write(`${error.message}\n`);
    process.exitCode = exit.failed;
  }
}
