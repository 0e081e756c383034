// SPDX-License-Identifier: GPL-2.0-only
import { PAGE_WORDS, type PhysicalMemory } from './memory.ts';

/** What changed in one memory since the last `clear`: enough to tell whether two memories that were equal still are. */
export class WriteJournal {
  /** Physical addresses of 32-bit words that were written; an address can stand there more than once. */
  readonly words: number[] = [];
  /** Frames that came or went. */
  readonly frames: number[] = [];

  clear(): void {
    // Most events write nothing, and setting a length costs more than looking at it.
    if (this.words.length > 0) this.words.length = 0;
    if (this.frames.length > 0) this.frames.length = 0;
  }
}

/** Whether two memories, equal before their journals began, are equal now. Frames that are absent read as zero. */
export function stayedEqual(a: PhysicalMemory, b: PhysicalMemory): boolean {
  const ofA = a.journal;
  const ofB = b.journal;
  if (ofA === null || ofB === null) throw new Error('memory: no journal to compare by');
  if (!sameWords(a, b, ofA.words) || !sameWords(a, b, ofB.words)) return false;
  // Frames that came and went alike hold zeros, and what was written since.
  const alike = ofA.frames.length === ofB.frames.length && ofA.frames.every((frame, i) => frame === ofB.frames[i]);
  return alike || [...ofA.frames, ...ofB.frames].every((frame) => sameFrame(a, b, frame));
}

function sameWords(a: PhysicalMemory, b: PhysicalMemory, addresses: readonly number[]): boolean {
  for (let i = 0; i < addresses.length; i++) {
    const address = addresses[i]!;
    if (a.read32(address) !== b.read32(address)) return false;
  }
  return true;
}

/** Whether two memories hold the same everywhere. */
export function areEqual(a: PhysicalMemory, b: PhysicalMemory): boolean {
  for (const memory of [a, b]) {
    for (const frame of memory.frames()) if (!sameFrame(a, b, frame)) return false;
  }
  return true;
}

/** Makes the words in `from`'s journal the same in another memory. */
export function copyWords(from: PhysicalMemory, to: PhysicalMemory): void {
  for (const address of from.journal?.words ?? []) to.write32(address, from.read32(address));
}

function sameFrame(a: PhysicalMemory, b: PhysicalMemory, frame: number): boolean {
  const slotA = a.slotOrZero(frame);
  const slotB = b.slotOrZero(frame);
  // Both absent.
  if ((slotA | slotB) === 0) return true;
  const wordsA = a.words;
  const wordsB = b.words;
  const shift = (slotB - slotA) * PAGE_WORDS;
  for (let at = slotA * PAGE_WORDS; at < (slotA + 1) * PAGE_WORDS; at++) {
    if (wordsA[at] !== wordsB[at + shift]) return false;
  }
  return true;
}
