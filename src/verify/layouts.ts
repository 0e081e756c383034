// SPDX-License-Identifier: GPL-2.0-only
import type { Layout } from '../role/layout.ts';
import type { CFiles } from './files.ts';
import { compared, unchecked, unreadable } from './findings.ts';
import { containerDifferences, layoutDifferences } from './layout-check.ts';
import type { Finding } from './model.ts';
import { type RoleUnion, unionsOf } from './unions.ts';

/** Where the kernel declared the unions, today's place first: KVM moved its headers in 2008. */
const headers = ['arch/x86/include/asm/kvm_host.h', 'include/asm-x86/kvm_host.h', 'drivers/kvm/kvm.h'] as const;

/** kvm_mmu_role became kvm_cpu_role in v5.19 (7a7ae8292391). */
const containers = ['kvm_mmu_role', 'kvm_cpu_role'];

/** The revision to read, and the file of ours that has the table. */
interface Where {
  readonly revision: string;
  readonly place: string;
}

/** One union against the table of the port; `table` null: the union is there and has no bit-fields. */
export async function checkUnion(name: string, table: Layout | null, where: Where, files: CFiles): Promise<Finding> {
  return await checkFirst([name], where, files, (found) =>
    table ? layoutDifferences(found, table) : found.bits.length === 0 ? [] : ['C has bit-fields, we say none'],
  );
}

/** The union of both halves. */
export async function checkContainer(where: Where, files: CFiles): Promise<Finding> {
  return await checkFirst(containers, where, files, containerDifferences);
}

async function checkFirst(
  names: readonly string[],
  { revision, place }: Where,
  files: CFiles,
  differences: (found: RoleUnion) => string[],
): Promise<Finding> {
  const subject = { kind: 'layout', what: `union ${names.join(' or ')}`, revision, places: [place] } as const;
  const found = await files.present(revision, headers);
  if (!Array.isArray(found)) return unreadable(subject, found);
  const [header] = found;
  if (!header) return compared(subject, [`there is none of ${headers.join(', ')}`]);
  const unions = await unionsOf(header.text, names);
  const [union] = unions;
  if (!union) return compared(subject, [`${header.path} has no such union`]);
  const named = { ...subject, what: `union ${union.name}` };
  if (unions.length > 1) return unchecked(named, `${header.path} has ${unions.length} unions of that name`);
  if (union.doubt !== null) return unchecked(named, `${header.path}, ${union.doubt}`);
  return compared(named, differences(union));
}
