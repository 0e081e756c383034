// SPDX-License-Identifier: GPL-2.0-only
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { gunzipSync, gzipSync } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { conformFile } from '../../src/conform/run.ts';
import { UserError } from '../../src/errors.ts';
import { findPort } from '../../src/replay/every-port.ts';

const vectors = (name: string) => fileURLToPath(new URL(`../vectors/${name}`, import.meta.url));
let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'mmu-eras-'));
});
afterAll(() => {
  rmSync(folder, { recursive: true });
});

const textOf = (name: string): string => {
  const bytes = readFileSync(vectors(name));
  return (name.endsWith('.gz') ? gunzipSync(bytes) : bytes).toString();
};

/** A copy of a vector file with other text, under the same name. */
function copyWith(name: string, text: string): string {
  const path = join(folder, name);
  writeFileSync(path, name.endsWith('.gz') ? gzipSync(text) : text);
  return path;
}

const failures = (path: string) =>
  conformFile(path, findPort).sections.flatMap((section) => section.failures.map((failure) => ({ section, failure })));

describe('one wrong value in a copy makes it fail, and the failure says where', () => {
  it('a root role of cpu-role', () => {
    const json = JSON.parse(textOf('e5ed0fb0-roles.json.gz'));
    const column = json.header.input_columns.length + json.header.output_columns.indexOf('root_role');
    const right = json.rows[7][column];
    json.rows[7][column] = (Number.parseInt(right, 16) ^ 0x2000).toString(16).padStart(8, '0');
    const [only, ...rest] = failures(copyWith('e5ed0fb0-roles.json.gz', JSON.stringify(json)));
    expect(rest).toEqual([]);
    expect(only!.section.failed).toBe(1);
    expect(only!.failure).toMatch(/^row 8 kind=/);
    expect(only!.failure).toContain(`root_role is "${right}", expected "${json.rows[7][column]}"`);
  });

  it('one action in an event of v5.17', () => {
    const json = JSON.parse(textOf('v5.17-events.json'));
    const column = json.header.input_columns.length + json.header.output_columns.indexOf('actions');
    const at = json.rows.findIndex((row: unknown[][]) => row[column]!.length > 0);
    json.rows[at][column] = [...json.rows[at][column], 'unload'];
    const [only, ...rest] = failures(copyWith('v5.17-events.json', JSON.stringify(json)));
    expect(rest).toEqual([]);
    expect(only!.failure).toContain(`row ${at + 1} `);
  });

  it('one step of a sequence of no-unload-v2', () => {
    const json = JSON.parse(textOf('no-unload-v2-sequences.json.gz'));
    const column = json.header.step_columns.indexOf('live_pages');
    json.rows[3].steps[5][column] += 1;
    const [only, ...rest] = failures(copyWith('no-unload-v2-sequences.json.gz', JSON.stringify(json)));
    expect(rest).toEqual([]);
    expect(only!.failure).toContain('step 6');
  });

  it('one page count in a trace of base-role', () => {
    const json = JSON.parse(textOf('a770f6f2-traces.json.gz'));
    json.traces[2].steps[4].used += 1;
    expect(failures(copyWith('a770f6f2-traces.json.gz', JSON.stringify(json)))).toHaveLength(1);
  });
});

describe('a file that is not understood is an error', () => {
  const refused = (path: string): string => {
    try {
      conformFile(path, findPort);
    } catch (error) {
      if (error instanceof UserError) return error.message.replace(folder, '…');
      throw error;
    }
    throw new Error('accepted');
  };

  it('missing', () => {
    expect(refused(join(folder, 'none.json'))).toContain('no such file');
  });

  it('cut off', () => {
    const text = textOf('e5ed0fb0-events.json');
    expect(refused(copyWith('e5ed0fb0-events.json', text.slice(0, text.length / 2)))).toContain(
      'JSON that does not parse',
    );
  });

  it('a cut off gzip file', () => {
    const path = join(folder, 'e5ed0fb0-roles.json.gz');
    writeFileSync(path, readFileSync(vectors('e5ed0fb0-roles.json.gz')).subarray(0, 1000));
    expect(refused(path)).toContain('a damaged or cut off gzip file');
  });

  it('not UTF-8', () => {
    const path = join(folder, 'latin1.json');
    writeFileSync(path, Buffer.from('{"era": "caf\xe9"}', 'latin1'));
    expect(refused(path)).toContain('bytes that are not UTF-8');
  });

  it('fewer rows than the header counts', () => {
    const json = JSON.parse(textOf('e5ed0fb0-events.json'));
    json.rows.pop();
    expect(refused(copyWith('e5ed0fb0-events.json', JSON.stringify(json)))).toMatch(
      /7796 rows where the header counts 7797/,
    );
  });

  it('an unknown format', () => {
    expect(refused(copyWith('x.json', '{"header":{"format":"other"},"rows":[]}'))).toContain('vector format "other"');
    expect(refused(copyWith('y.json', '{"something":1}'))).toContain('expected: a vector file');
  });

  it('a kernel without a port', () => {
    const json = JSON.parse(textOf('e5ed0fb0-events.json'));
    json.header.commit = '0123456789abcdef0123456789abcdef01234567';
    expect(refused(copyWith('e5ed0fb0-events.json', JSON.stringify(json)))).toContain('vectors of "0123456789ab');
  });
});
