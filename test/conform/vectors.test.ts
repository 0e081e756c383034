// SPDX-License-Identifier: GPL-2.0-only
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { conformFile } from '../../src/conform/run.ts';
import { findPort } from '../../src/replay/every-port.ts';

const folder = fileURLToPath(new URL('../vectors', import.meta.url));
const files = readdirSync(folder).sort();

describe('every public vector file agrees with its port or the walker', () => {
  it.each(files)('%s', (file) => {
    const { sections } = conformFile(join(folder, file), findPort);
    expect(sections.flatMap(({ failures }) => failures)).toEqual([]);
    expect(sections.reduce((sum, { passed }) => sum + passed, 0)).toBeGreaterThan(0);
    expect(sections.reduce((sum, { failed }) => sum + failed, 0)).toBe(0);
  });
});
