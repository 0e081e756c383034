// SPDX-License-Identifier: GPL-2.0-only
import type { Truth } from './truth.ts';

/** truth.json as text: one phase and one entry state a line, so that two of them can be compared by diff. */
export function truthJson(truth: Truth): string {
  const fields = Object.entries(truth).map(([name, value]) => ` ${JSON.stringify(name)}: ${fieldText(name, value)}`);
  return `{\n${fields.join(',\n')}\n}\n`;
}

function fieldText(name: string, value: unknown): string {
  if (name === 'phases') {
    // An object, as `Truth` says.
    const lines = Object.entries(value as Truth['phases']).map(
      ([phase, block]) => `  ${JSON.stringify(phase)}: ${JSON.stringify(block)}`,
    );
    return `{\n${lines.join(',\n')}\n }`;
  }
  if (name === 'entry_states') {
    const lines = (value as Truth['entry_states']).map((state) => `  ${JSON.stringify(state)}`);
    return `[\n${lines.join(',\n')}\n ]`;
  }
  return JSON.stringify(value);
}
