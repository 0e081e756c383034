// SPDX-License-Identifier: GPL-2.0-only
import { expect, test } from 'vitest';
import { symbolsOf } from '../../src/verify/symbols.ts';

/** Every way in which KVM's files give a name its meaning; the text is ours. */
const text = `#include "mmu.h"
bool __read_mostly table_enabled = true;
static int plain(struct vcpu *vcpu)
{
	int inner = 1;
	return inner;
}
static noinline bool __must_check marked(void) { return true; }
struct page *pointer(int a)
{
	return 0;
}
static void
two_lines(void)
{
}
static gpa_t FNAME(walk)(struct vcpu *vcpu)
{
	return 0;
}
#define BUILD(base, reg, name) \\
static inline bool is_##reg##_##name(struct mmu *mmu) \\
{ return mmu->base.reg##_##name; }
BUILD(ext, cr0, wp);
#ifdef CONFIG_X86_64
static int guarded(void) { return 1; }
#else
static int guarded(void) { return 0; }
#endif
int declared(struct vcpu *vcpu);
union word { u32 raw; struct { unsigned a:1; } ; };
struct outer { struct nested { int x; } member; };
enum kind { FIRST, SECOND };
typedef u64 pt_element_t;
static const u32 masks[] = { 1, 2 };
int (*handler)(struct vcpu *vcpu);
`;

test('every definition is found with its kind and lines', async () => {
  const table = await symbolsOf(text);
  const shown = [...table].map(
    ([name, places]) => `${name}: ${places.map((p) => `${p.kind} ${p.first}-${p.last}`).join(', ')}`,
  );
  expect(shown).toEqual([
    'table_enabled: variable 2-2',
    'plain: function 3-7',
    'marked: function 8-8',
    'pointer: function 9-12',
    'two_lines: function 13-16',
    'walk: function 17-20',
    'BUILD: macro 21-23, macro use 24-24',
    'is_cr0_wp: function 24-24',
    'guarded: function 26-26, function 28-28',
    'declared: prototype 30-30',
    'word: union 31-31',
    'outer: struct 32-32',
    'nested: struct 32-32',
    'kind: enum 33-33',
    'FIRST: constant 33-33',
    'SECOND: constant 33-33',
    'pt_element_t: type 34-34',
    'masks: variable 35-35',
    'handler: variable 36-36',
  ]);
});

test('text that is no C gives no names and no exception', async () => {
  expect([...(await symbolsOf('')).keys()]).toEqual([]);
  expect([...(await symbolsOf('}{ ((( 1 2 3 "')).keys()]).toEqual([]);
});
