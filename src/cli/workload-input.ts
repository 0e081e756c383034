// SPDX-License-Identifier: GPL-2.0-only
import { UserError } from '../errors.ts';
import { loadWorkload } from '../workload/bundled.ts';
import type { Workload } from '../workload/ops.ts';

/** Workloads by name, for what takes no traces. */
export async function workloadsNamed(names: readonly string[]): Promise<Workload[]> {
  const { isTrace } = await import('../trace/names.ts');
  return names.map((name) => {
    if (!isTrace(name)) return loadWorkload(name);
    throw new UserError({
      place: name,
      found: 'a trace',
      expected: 'a workload: a bundled name, an .ops or .jsonl file, or a generator of workloads',
      suggestion: name.endsWith('.mmut')
        ? `mmu-eras convert ${name} ${name.replace(/\.mmut$/, '.ops')}, or mmu-eras replay and compare, which take traces`
        : 'mmu-eras replay and compare, which take traces',
    });
  });
}
