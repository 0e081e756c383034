// SPDX-License-Identifier: GPL-2.0-only
/** `npm run bench -- start`: how long commands take from their start to their end. Arguments: the project's folder, `start`, options. */
import { parseArgs } from 'node:util';
import { UserError } from '../../src/errors.ts';
import { measureStart, startText } from './start-measure.ts';

const usage = 'npm run bench -- start [--runs N] [--format text|json]';

try {
  const { runs, format } = parse(process.argv.slice(4));
  const measured = measureStart(process.argv[2]!, runs);
  process.stdout.write(format === 'json' ? `${JSON.stringify(measured, null, 2)}\n` : startText(measured));
} catch (error) {
  if (!(error instanceof UserError)) throw error;
  console.error(error.message);
  process.exitCode = 2;
}

function parse(args: readonly string[]): { runs: number; format: string } {
  const mistake = (found: string) => new UserError({ place: 'bench start', found, expected: usage });
  let values: { runs: string; format: string };
  try {
    const options = { runs: { type: 'string', default: '15' }, format: { type: 'string', default: 'text' } } as const;
    values = parseArgs({ args: [...args], options }).values;
  } catch (error) {
    throw mistake(error instanceof Error ? error.message : String(error));
  }
  const runs = Number(values.runs);
  if (!Number.isInteger(runs) || runs < 1) throw mistake(`--runs ${values.runs}`);
  if (values.format !== 'text' && values.format !== 'json') throw mistake(`--format ${values.format}`);
  return { runs, format: values.format };
}
