// SPDX-License-Identifier: GPL-2.0-only
import type { Era, EraVcpu } from '../../src/era.ts';
import { get } from '../../src/role/layout.ts';
import { ENTRIES, NO_PAGE, type ShadowPages } from '../../src/sim/shadow-pages.ts';
import type { AddressSpace, Vm } from '../../src/sim/vm.ts';
import { type Books, booksOf } from './leniencies.ts';

/** Low bits of which a present SPTE has one: the rights, and bit 11 (spte.h SPTE_MMU_PRESENT_MASK, since v5.13). */
const PRESENT = 0x807;
const LARGE = 1 << 7;
const WRITABLE = 1 << 1;

interface Page {
  readonly id: number;
  readonly level: number;
  readonly indirect: boolean;
  readonly invalid: boolean;
  readonly space: AddressSpace;
  readonly tree: boolean;
  /** A direct page whose role has no write right: other mappings of the same kind share it. */
  readonly readOnly: boolean;
}

/** What must hold for KVM's own bookkeeping whenever no KVM code runs. Returns what does not, in words. */
export function brokenInvariants(era: Era, vm: Vm, vcpus: readonly EraVcpu[]): string[] {
  const broken: string[] = [];
  const books = booksOf(era.id);
  const pages = [...vm.pages.live()].map((id) => pageOf(era, vm, id, books));
  const leaves = checkEntries(vm, pages, books, broken);
  checkReverseMaps(vm, leaves, books, broken);
  checkUnsync(vm.pages, pages, books, broken);
  checkWriteProtection(era, vm, pages, broken);
  checkRoots(vm.pages, pages, vcpus, books, broken);
  const listed = pages.filter(({ tree }) => !tree);
  for (const { id } of listed) if (!isHashed(vm.pages, id)) broken.push(`page ${id} is live and cannot be looked up`);
  if (vm.pages.used !== listed.length) broken.push(`${listed.length} pages are live, ${vm.pages.used} are counted`);
  return broken;
}

function pageOf(era: Era, vm: Vm, id: number, { levelOfEntryAbove }: Books): Page {
  const role = vm.pages.role[id]!;
  const field = (name: string): number => {
    const known = era.layouts.page.byName.get(name);
    return known ? get(role, known) : 0;
  };
  // Direct pages were called metaphysical until v2.6.30.
  const direct = field('direct') !== 0 || field('metaphysical') !== 0;
  const tree = vm.pages.isTreePage(id);
  const above = levelOfEntryAbove && tree && vm.pages.rootCount[id] === 0;
  return {
    id,
    level: field('level') - (above ? 1 : 0),
    indirect: !direct && field('passthrough') === 0,
    invalid: field('invalid') !== 0,
    space: vm.addressSpaces[field('smm') === 0 ? 0 : 1],
    tree,
    readOnly: direct && !(field('access') & 2),
  };
}

/** Entries against parent links and reverse map, from the entries' side. Returns how many leaves are filed. */
function checkEntries(
  vm: Vm,
  all: readonly Page[],
  { looseReverseMap, writesIntoReadOnly }: Books,
  broken: string[],
): number {
  const { pages } = vm;
  const levels = new Map(all.map(({ id, level }) => [id, level]));
  const parents = new Map<number, number>();
  let leaves = 0;
  for (const { id, level, space, tree, readOnly } of all) {
    for (let index = 0; index < ENTRIES; index++) {
      const low = pages.entryLow(id, index);
      if (!(low & PRESENT)) continue;
      const at = `entry ${index} of page ${id}`;
      const frame = (low >>> 12) + (pages.entryHigh(id, index) & 0xfffff) * 2 ** 20;
      if (level > 1 && !(low & LARGE)) {
        const child = pages.idOfFrame(frame);
        parents.set(child, (parents.get(child) ?? 0) + 1);
        if (levels.get(child) !== level - 1) broken.push(`${at} (level ${level}) points to page ${child}`);
        else if (!tree && !pages.parentEntries(child).includes(id * ENTRIES + index))
          broken.push(`${at} is not among the parents of page ${child}`);
      } else if (!tree) {
        leaves++;
        // There bit 7 comes and goes with what made the entry, at any level, and its filing stays.
        const filings = looseReverseMap ? [1, 2] : [level];
        const entryNumber = id * ENTRIES + index;
        const filed = filings.flatMap((filing) =>
          space.rmap.entries(frame, filing).filter((entry) => entry === entryNumber),
        );
        if (filed.length !== 1) broken.push(`${at} is filed ${filed.length} times for frame ${frame}`);
        if (readOnly && !writesIntoReadOnly && low & WRITABLE)
          broken.push(`${at} is writable, which the page's role forbids`);
      }
    }
  }
  for (const { id, tree } of all) {
    const links = tree ? (parents.get(id) ?? 0) : pages.parentEntries(id).length;
    if (links !== (parents.get(id) ?? 0)) broken.push(`page ${id} has ${links} parents, ${parents.get(id)} entries`);
    if (tree && links + (pages.rootCount[id]! > 0 ? 1 : 0) !== 1) broken.push(`page ${id} is no tree node`);
  }
  return leaves;
}

function checkReverseMaps(vm: Vm, leaves: number, { looseReverseMap }: Books, broken: string[]): void {
  let filed = 0;
  for (const { rmap, memslots } of vm.addressSpaces) {
    for (let gfn = 0; gfn < memslots.frames; gfn++) filed += rmap.entries(gfn, 1).length;
    for (let gfn = 0; gfn < memslots.frames; gfn += 512) filed += rmap.entries(gfn, 2).length;
    filed += rmap.entries(0, 3).length;
  }
  if (looseReverseMap ? filed < leaves : filed !== leaves)
    broken.push(`${leaves} leaves, ${filed} filed in the reverse map`);
}

/** An unsync page can be found from every root above it. */
function checkUnsync(pages: ShadowPages, all: readonly Page[], { looseUnsyncCount }: Books, broken: string[]): void {
  const above = looseUnsyncCount ? aboveUnsync(pages, all) : null;
  for (const { id, level, indirect } of all) {
    const unsync = pages.unsync[id] === 1;
    if (unsync && (level !== 1 || !indirect)) broken.push(`page ${id} of level ${level} is unsync`);
    if (!unsync && (above === null ? pages.unsyncChildren[id] === 0 : !above.has(id))) continue;
    for (const entry of pages.parentEntries(id)) {
      const parent = Math.floor(entry / ENTRIES);
      if (pages.nextUnsyncBit(parent, entry % ENTRIES) !== entry % ENTRIES)
        broken.push(`unsync below page ${id} is not marked in page ${parent}`);
    }
  }
}

/** Pages that an unsync page is below of. */
function aboveUnsync(pages: ShadowPages, all: readonly Page[]): ReadonlySet<number> {
  const above = new Set<number>();
  const left = all.filter(({ id }) => pages.unsync[id] === 1).map(({ id }) => id);
  for (const id of left) {
    for (const entry of pages.parentEntries(id)) {
      const parent = Math.floor(entry / ENTRIES);
      if (above.has(parent)) continue;
      above.add(parent);
      left.push(parent);
    }
  }
  return above;
}

/** No guest write to a table in sync can go unnoticed. Write tracking came with v4.6; before, a look-up told. */
function checkWriteProtection(era: Era, vm: Vm, all: readonly Page[], broken: string[]): void {
  const tables = all.filter(({ indirect, invalid, tree }) => indirect && !invalid && !tree);
  for (const space of era.layouts.page.byName.has('metaphysical') ? [] : vm.addressSpaces) {
    const tracked = new Set(tables.filter((page) => page.space === space && page.level > 1).map(gfnOf));
    for (let gfn = 0; gfn < space.memslots.frames; gfn++) {
      if (space.memslots.isTracked(gfn) !== tracked.has(gfn)) broken.push(`frame ${gfn} is tracked wrongly`);
    }
  }
  for (const page of tables) {
    if (vm.pages.unsync[page.id] === 1) continue;
    for (let level = 1; level <= 3; level++) {
      for (const entry of page.space.rmap.entries(gfnOf(page), level)) {
        const low = vm.pages.entryLow(Math.floor(entry / ENTRIES), entry % ENTRIES);
        if (low & WRITABLE) broken.push(`the table of page ${page.id} (gfn ${gfnOf(page)}) is writable unseen`);
      }
    }
  }

  function gfnOf({ id }: Page): number {
    return vm.pages.gfn[id]!;
  }
}

/** Root counts against the roots that vCPUs hold. */
function checkRoots(
  pages: ShadowPages,
  all: readonly Page[],
  vcpus: readonly EraVcpu[],
  { holdsRoots }: Books,
  broken: string[],
): void {
  const held = new Map<number, number>();
  const hold = (id: number): void => void held.set(id, (held.get(id) ?? 0) + 1);
  for (const { view } of vcpus) {
    for (const root of [view.root(), ...view.previousRoots()]) {
      if (root === null) continue;
      const id = pages.idOfFrame(root.frame);
      if (!pages.isSpecial(id)) {
        hold(id);
        continue;
      }
      for (let i = 0; i < 4; i++) {
        const low = pages.entryLow(id, i);
        if (low & 1) hold(pages.idOfFrame((low >>> 12) + (pages.entryHigh(id, i) & 0xfffff) * 2 ** 20));
      }
    }
  }
  for (const { id, tree, invalid } of all) {
    if (holdsRoots && tree && !invalid && pages.rootCount[id]! > 0) hold(id);
    if (pages.rootCount[id] !== (held.get(id) ?? 0))
      broken.push(`page ${id} has ${held.get(id) ?? 0} users as a root, counted ${pages.rootCount[id]}`);
  }
}

function isHashed(pages: ShadowPages, id: number): boolean {
  for (let at = pages.firstOf(pages.gfn[id]!); at !== NO_PAGE; at = pages.nextOf(at)) if (at === id) return true;
  return false;
}
