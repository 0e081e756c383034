// SPDX-License-Identifier: GPL-2.0-only
import { describe, expect, it } from 'vitest';
import { findDefinitions } from '../../src/upstream/definition.ts';

const c = `#include "mmu.h"

static int walk(int steps);
extern const u8 table[];

#define ROLE_BIT(name) \\
	static bool is_##name(void) \\
	{ return true; }
#define ONE_LINE 1

union role {
	u32 word;
	struct {
		unsigned level:4;
	};
};

/*
 * Counts.
 */
static union role
calc_role(struct kvm_vcpu *vcpu,
	  const struct regs *regs)
{
	union role role = {};

	if (walk(1)) {
		role.word = 1;
	}
	return role;
}
EXPORT_SYMBOL_GPL(calc_role);

static int walk(int steps)
{
	return calc_role(steps).word;
}

static int FNAME(fetch)(struct kvm_vcpu *vcpu)
{
	return 0;
}

const u8 table[] = {
	1,
	2,
};

static inline bool one(void) { return true; }

#ifdef CONFIG_X
int twice(void)
{
	return 1;
}
#else
int twice(void)
{
	return 2;
}
#endif
`;

const typescript = `import { x } from './x.ts';

/** A role. */
export const role = layout(32, [
  ['level', 4],
]);

const limit = 4;

/**
 * v5.17 mmu.c calc
 */
export function calc(
  vcpu: Vcpu,
  regs: Regs,
): Role {
  const role = calc(vcpu, regs);
  return role;
}

export interface Shape {
  readonly calc: number;
}

export const short = (a: number): number => a + 1;

export const host = {
  calc() {
    return 1;
  },
} satisfies Host;
`;

/** The lines of each definition. */
const cut = (text: string, name: string): string[] =>
  findDefinitions(text, name).map(({ first, last }) =>
    text
      .split('\n')
      .slice(first - 1, last)
      .join('\n'),
  );

const ends = (text: string, name: string): [string, string][] =>
  cut(text, name).map((part) => [part.split('\n')[0]!, part.split('\n').at(-1)!]);

describe('definitions in C', () => {
  it.each([
    ['calc_role', '/*', '}'],
    ['walk', 'static int walk(int steps)', '}'],
    ['fetch', 'static int FNAME(fetch)(struct kvm_vcpu *vcpu)', '}'],
    ['role', 'union role {', '};'],
    ['table', 'const u8 table[] = {', '};'],
    ['ROLE_BIT', '#define ROLE_BIT(name) \\', '\t{ return true; }'],
    ['ONE_LINE', '#define ONE_LINE 1', '#define ONE_LINE 1'],
    ['one', 'static inline bool one(void) { return true; }', 'static inline bool one(void) { return true; }'],
  ])('%s', (name, first, last) => {
    expect(ends(c, name)).toEqual([[first, last]]);
  });

  it('every variant, and nothing for a mention', () => {
    expect(cut(c, 'twice').map((part) => part.split('\n')[2])).toEqual(['\treturn 1;', '\treturn 2;']);
    for (const name of ['kvm_vcpu', 'level', 'EXPORT_SYMBOL_GPL', 'alk', 'regs', 'word']) {
      expect(findDefinitions(c, name), name).toEqual([]);
    }
  });
});

describe('declarations in a port', () => {
  it.each([
    ['role', '/** A role. */', ']);'],
    ['limit', 'const limit = 4;', 'const limit = 4;'],
    ['calc', '/**', '}'],
    ['Shape', 'export interface Shape {', '}'],
    [
      'short',
      'export const short = (a: number): number => a + 1;',
      'export const short = (a: number): number => a + 1;',
    ],
    ['host', 'export const host = {', '} satisfies Host;'],
  ])('%s', (name, first, last) => {
    expect(ends(typescript, name)).toEqual([[first, last]]);
  });

  it('nothing for an import', () => {
    expect(findDefinitions(typescript, 'x')).toEqual([]);
  });
});
