// SPDX-License-Identifier: GPL-2.0-only
import { writeRefused, writeWhole } from '../files.ts';

/** Writes to a file, which is there whole or not at all, or without one to standard output at its pace. UserError when the disk refuses. */
export async function writeOutput(file: string | undefined, pieces: Iterable<string>): Promise<void> {
  if (file === undefined) {
    for (const piece of pieces) {
      if (!process.stdout.write(piece)) await new Promise((resolve) => process.stdout.once('drain', resolve));
    }
    return;
  }
  // An interrupt would leave the temporary file behind; what follows takes a moment.
  const later = (): void => {};
  process.on('SIGINT', later).on('SIGTERM', later);
  try {
    writeWhole(file, pieces);
  } catch (error) {
    throw writeRefused(file, error);
  } finally {
    process.off('SIGINT', later).off('SIGTERM', later);
  }
}
