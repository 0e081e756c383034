// SPDX-License-Identifier: GPL-2.0-only
/** `npm run bench -- fused`: eight eras together against one. Arguments: the project's folder, `fused`, options. */
import { UserError } from '../../src/errors.ts';
import { fusedText, measureFused } from './fused-measure.ts';
import { fusedOptions } from './fused-options.ts';

try {
  const options = fusedOptions(process.argv.slice(4));
  const measured = measureFused(options);
  process.stdout.write(options.format === 'json' ? `${JSON.stringify(measured, null, 2)}\n` : fusedText(measured));
} catch (error) {
  if (!(error instanceof UserError)) throw error;
  console.error(error.message);
  process.exitCode = 2;
}
