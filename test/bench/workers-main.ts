// SPDX-License-Identifier: GPL-2.0-only
/** `npm run bench -- workers [runs] [rounds]`: many eras on two threads, as JSON. Arguments: the project's folder, these. */
import { UserError } from '../../src/errors.ts';
import { compileC } from './c-program.ts';
import { measureWorkers } from './workers-measure.ts';

const [root = '.', , runs = '3', rounds = '200000'] = process.argv.slice(2);
try {
  const measured = await measureWorkers(compileC(root), Number(runs), Number(rounds));
  console.log(JSON.stringify(measured, null, 2));
} catch (error) {
  if (!(error instanceof UserError)) throw error;
  console.error(error.message);
  process.exitCode = 2;
}
