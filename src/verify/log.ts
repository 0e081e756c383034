// SPDX-License-Identifier: GPL-2.0-only
import { nearest, UserError } from '../errors.ts';
import { loadFacts } from '../facts/index.ts';
import type { UpstreamSource } from '../upstream/source.ts';
import { bitHistories } from './bit-history.ts';
import { cloneLog } from './clone-log.ts';
import { citedNames, functionHistory } from './function-history.ts';
import type { BitHistory, CloneLog, FunctionHistory, LogModel } from './history.ts';

/**
 * What the facts know of a function or role bit, and with a clone `git log -L` of it. Throws UserError, with the nearest
 * known name, for a name that neither has.
 */
export async function log(
  name: string,
  upstream: UpstreamSource | null,
  at: ReadonlyMap<string, string>,
): Promise<LogModel> {
  const known = functionHistory(name);
  const histories: (FunctionHistory | BitHistory)[] = [...bitHistories(name), ...(known ? [known] : [])];
  if (histories.length === 0) throw unknown(name);
  const clone: CloneLog[] = [];
  for (const history of upstream ? histories : []) {
    const found = await cloneLog(upstream!, history, at);
    if (found) clone.push(found);
  }
  return { name, histories, clone, note: noteOf(upstream, clone.length) };
}

function noteOf(upstream: UpstreamSource | null, found: number): string | null {
  if (!upstream || found > 0) return null;
  return upstream.logL
    ? `${upstream.describe()} has none of the eras that have it, so git log -L has nothing to follow`
    : 'a capsule has single commits and no history between them; --repo with a clone shows git log -L';
}

function unknown(name: string): UserError {
  const names = new Set([...loadFacts().roleBits.bits.map((bit) => bit.name), ...citedNames()]);
  const near = nearest(name, names);
  return new UserError({
    place: 'mmu-eras log',
    found: `neither a role bit nor a function that a port cites: "${name}"`,
    expected: 'a name from mmu-eras bits, or a kernel function that a port is about',
    suggestion: near ? `mmu-eras log ${near}` : 'mmu-eras bits',
  });
}
