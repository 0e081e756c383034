// SPDX-License-Identifier: GPL-2.0-only
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { bundledWorkloads, loadWorkload } from '../../src/workload/bundled.ts';
import { generate, generators } from '../../src/workload/generators/index.ts';
import { parseOps } from '../../src/workload/parse.ts';
import { printOps } from '../../src/workload/print.ts';
import { compile, type Step } from '../../src/workload/program.ts';

/** How often each kind of step runs, loops multiplied out, conditions taken. */
function runs(steps: readonly Step[], times = 1, into = new Map<string, number>()): Map<string, number> {
  for (const step of steps) {
    into.set(step.kind, (into.get(step.kind) ?? 0) + times);
    if (step.kind === 'repeat') runs(step.body, times * step.count, into);
    else if (step.kind === 'vmrun') runs(step.block.body, times, into);
    else if ('body' in step) runs(step.body, times, into);
  }
  return into;
}

const runsOf = (spec: string): Map<string, number> => runs(compile(loadWorkload(spec)).steps);

describe.each(generators.map((generator) => [generator.name, generator] as const))('%s', (name, generator) => {
  test('canonical text that parses to the same workload', () => {
    const workload = generate(name);
    expect(parseOps(printOps(workload), `${name}.ops`)).toEqual(workload);
  });

  test('the same seed gives the same bytes', () => {
    expect(printOps(generate(name, { seed: 7 }))).toBe(printOps(generate(name, { seed: 7 })));
  });

  test('every setting in range gives a workload, or says which settings do not go together', () => {
    const settings = fc.record(
      Object.fromEntries(
        generator.options.map((option) => [
          option.name,
          'choices' in option
            ? fc.constantFrom(...option.choices)
            : fc.oneof(fc.integer({ min: option.min, max: Math.min(option.max, 40) }), fc.constant(option.max)),
        ]),
      ),
      { requiredKeys: [] },
    );
    fc.assert(
      fc.property(settings, (each) => {
        try {
          compile(generate(name, each as Record<string, string | number>));
        } catch (error) {
          expect(String(error)).toMatch(/^UserError: (gen |[\w-]+\.ops:\d+:\d+: the guest code no longer fits)/);
        }
      }),
      { numRuns: 40 },
    );
  });
});

test('toggle_cr0_wp: two writes a round after the two that set up paging and the one that sets WP again', () => {
  expect(runsOf('gen:toggle_cr0_wp?iterations=1000').get('cr0')).toBe(2 + 1 + 2000);
  expect(runsOf('gen:toggle_cr4_pge?iterations=1000').get('cr4')).toBe(1 + 1 + 2000);
});

test('toggle_cr0_wp is the loop of kvm-unit-tests: nothing but the writes', () => {
  const loop = compile(loadWorkload('gen:toggle_cr0_wp')).steps.find((step) => step.kind === 'repeat');
  expect(loop?.body).toMatchObject([
    { kind: 'cr0', value: 0x80000011 },
    { kind: 'cr0', value: 0x80010011 },
  ]);
});

test('context-switch: round robin takes each process in turn', () => {
  const text = printOps(loadWorkload('gen:context-switch?processes=3&switches=4&touches=0'));
  expect(text).toContain('repeat 10\ncr3 P0\ncr3 P1\ncr3 P2\ncr3 P0\nend\n');
});

test('context-switch: PCIDs only where the CPU has them', () => {
  const text = printOps(loadWorkload('gen:context-switch?processes=2&switches=2&touches=0&pcid=1'));
  expect(text).toContain('if pcid\ncr3 P0\ncr4 +PCIDE\n');
  expect(text).toContain('cr3 P0 pcid=1 noflush\ncr3 P1 pcid=2 noflush\n');
});

test('fork-exec: every child is forked, copies pages, gets new ones and dies', () => {
  const counted = runsOf('gen:fork-exec?forks=2&rounds=3&pages=4&cow=1&exec=1');
  // Per fork: 2 * 4 shared, 1 copied, 4 new, 4 cleared, 4 writable again.
  expect(counted.get('store')).toBe(2 * 3 * (8 + 1 + 4 + 4 + 4));
});

test('nested-pingpong: one VMRUN per guest and round', () => {
  const counted = runsOf('gen:nested-pingpong?rounds=20&guests=2&touches=3&l1-touches=1&toggles=5');
  expect(counted.get('vmrun')).toBe(40);
  expect(counted.get('access')).toBe(40 * (3 + 1));
  expect(counted.get('cr0')).toBe(2 + 40 * 10);
});

describe('loadWorkload', () => {
  test('bundled names, with their titles', () => {
    const titles = Object.fromEntries(bundledWorkloads().map(({ name, title }) => [name, title]));
    expect(titles.smm).toBe('System management mode entries from long mode');
    expect(loadWorkload('smm')).toMatchObject({ name: 'smm', title: titles.smm });
  });

  test('what is none of them', () => {
    expect(() => loadWorkload('wp-togle')).toThrow(
      /^wp-togle: no such workload\n {2}expected: an .*\n {2}try: wp-toggle$/,
    );
    expect(() => loadWorkload('toggle_cr0_wp')).toThrow(/\n {2}try: gen:toggle_cr0_wp$/);
    expect(() => loadWorkload('none/x.ops')).toThrow('none/x.ops: no such file');
    expect(() => loadWorkload('gen:togle_cr0_wp')).toThrow('gen togle_cr0_wp: no such generator');
    expect(() => loadWorkload('gen:fork-exec?pagse=3')).toThrow(
      /^gen fork-exec: unknown option "pagse"\n.*\n {2}try: pages=…$/,
    );
    expect(() => loadWorkload('gen:fork-exec?pages=0')).toThrow(
      'gen fork-exec: pages=0\n  expected: a whole number from 1 to 64',
    );
    expect(() => loadWorkload('gen:fork-exec?pages=2&cow=3')).toThrow('gen fork-exec: cow=3 of pages=2');
    expect(() => loadWorkload('gen:context-switch?order=zip')).toThrow(/\n {2}try: zipf$/);
  });
});
