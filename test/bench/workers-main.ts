// SPDX-License-Identifier: GPL-2.0-only
/** `npm run bench -- workers [runs] [source]`: many eras on two threads, as JSON. Arguments: the project's folder, these. */
import { UserError } from '../../src/errors.ts';
import { compileC } from './c-program.ts';
import { measureWorkers } from './workers-measure.ts';

/** Long enough that the start of threads, which compile every port anew, is little of it. */
const LONG = 'gen:shadow-wp?events=20000000';

const [root = '.', , runs = '3', source = LONG] = process.argv.slice(2);
try {
  const measured = await measureWorkers(compileC(root), Number(runs), source);
  console.log(JSON.stringify(measured, null, 2));
} catch (error) {
  if (!(error instanceof UserError)) throw error;
  console.error(error.message);
  process.exitCode = 2;
}
