// SPDX-License-Identifier: GPL-2.0-only
/**
 * Where everything is in a machine's memory: the physical memory of the host with all its pages, and the state of each CPU.
 * TypeScript and the compiled core both read this file. Offsets in bytes; a word has 32 bits. A slot is 4096 bytes.
 *
 *     slot 0       zeros: what absent memory reads as
 *     JOURNAL_ON   journal of marks
 *     LOW_SLOTS    slot of each low frame, a word each, 0 where it is absent
 *     TABLE_SLOTS  the same from HOST_TABLE_FRAME on
 *     FIRST_SLOT   pages, and blocks of CPUs
 */

/** Not 0 while marks are noted: how many there are, then the address of each entry. */
export const JOURNAL_ON = 0x1000;
export const JOURNAL_COUNT = 0x1004;
export const JOURNAL = 0x1010;
/** Notes that there is room for; a run stops before it is full. */
export const JOURNAL_ROOM = 8192;

/** Grows when a frame loses its slot. */
export const GENERATION = 0x1008;

/** Frames in each dense window (16 GiB); those beyond live in a hash, lest one stray high address make a huge index. */
export const DENSE_FRAMES = 0x40_0000;
/**
 * First frame of the window for tables that the host owns (shadow pages, nested tables): 2 ** 28 frames, which is 1 TiB
 * and above any guest RAM that is modelled. Guest frame n is host frame n below it.
 */
export const HOST_TABLE_FRAME = 0x1000_0000;
export const LOW_SLOTS = 0x1_0000;
export const TABLE_SLOTS = 0x101_0000;
export const FIRST_SLOT = 0x2010;

/** A walker: the form of its tables. */
export const LEVELS = 0;
/** Bytes of an entry: 4 or 8. */
export const ENTRY_BYTES = 4;
export const IS_EPT = 8;
export const LARGE_LEVELS = 12;
/** Not 0 for tables of 64-bit entries that are alike at all levels. */
export const IS_SIMPLE = 16;
export const CANONICAL_SHIFT = 20;
export const UNCOVERED_HIGH = 24;
export const HAS_KEYS = 28;
/** Masks of entries, 64 bits each. */
export const PRESENT = 32;
export const ACCESSED = 40;
export const DIRTY = 48;
export const BARE_ACCESSED = 56;
export const NO_EXECUTE = 64;
export const GLOBAL = 72;
export const MALFORMED_RIGHTS = 80;
export const ODD_MEMORY_TYPES = 84;
/** By level and size: 64 bits at (level * 2 + large) * 8. */
export const RESERVED = 88;
/** What registers decide. */
export const KEYS_ON = 184;
export const PKRU = 188;
export const WP = 192;
export const REPORT_FETCH = 196;
/** As nested tables: how reads of guest tables count. */
export const TABLE_ACCESS = 200;
/** First byte of the root table within its page. */
export const ROOT_BYTE = 204;
/** 64 bits. */
export const ROOT_FRAME = 208;
export const HAS_PDPTES = 216;
/** Blocks of other things, 0 for none. */
export const NESTED = 220;
export const CACHES = 224;
/** Four of 64 bits. */
export const PDPTES = 232;
/** A byte for each `ruleIndex`. */
export const RULES = 264;
/** What the last walk told (src/sim/walk-result.ts); in groups of 16 bytes that a walk clears together. */
export const FAULT = 432;
export const CAUSE = 436;
export const ERROR_CODE = 440;
export const STAGE = 444;
export const LEVEL = 448;
export const PAGE_SHIFT = 452;
export const FLAGS = 456;
export const LOW_BITS = 460;
export const CACHED_LEVEL = 464;
export const READS = 468;
export const NESTED_READS = 472;
export const MARKS = 476;
/** 64 bits. */
export const FAULT_GPA = 480;
export const READABLE = 488;
/** 64 bits each. */
export const FRAME = 496;
export const HOST_FRAME = 504;
/** While a walk is under way: the guest-physical address of the entry read last, and rights of its translation. */
export const ENTRY_GPA = 512;
export const TABLE_RIGHTS = 520;
/** Remembered ways (src/sim/core/paths.ts), and one of them. */
export const PATHS = 524;
export const WALKER_BYTES = 528;
export const PATHS_COUNT = 1024;
export const PATH_BYTES = 64;
/** 64 bits each. */
export const PATH_REGION = 0;
export const PATH_ROOT = 8;
export const PATH_GENERATION = 16;
export const PATH_LOW = 20;
/** Where the entries of levels 4 to 2 are, and the table below. */
export const PATH_PLACES = 24;
export const PATH_LEAF = 36;
/** The entries, 64 bits each. */
export const PATH_ENTRIES = 40;
/** Above nested tables also the frames of the four tables, and the nested leaves they were reached by; 64 bits each. */
export const GUEST_PATH_FRAMES = 64;
export const GUEST_PATH_LEAVES = 96;
export const GUEST_PATH_BYTES = 128;

/**
 * A set-associative structure: header, then sets of groups of four ways. A group has one vector for each field. Lanes past
 * the last way have PADDING_STAMP; a free lane has tag 0 and stamp 0.
 */
export const SET_MASK = 0;
export const GROUPS = 4;
export const CLOCK = 8;
export const SETS = 16;
export const LANE_KEY = 0;
export const LANE_TAG = 16;
export const LANE_FRAME = 32;
export const LANE_FLAGS = 48;
export const LANE_STAMP = 64;
export const GROUP_BYTES = 80;
export const PADDING_STAMP = 0x7fff_ffff;
/** Clocks stay below this; then stamps are numbered anew. */
export const CLOCK_END = 0x7fff_fff0;

/** Paging-structure caches: the tag of their entries, the structures by level (2 to 5), and the last hit. */
export const CACHES_TAG = 0;
export const CACHES_LEVEL = 4;
/** 64 bits. */
export const CACHES_HITS = 32;
export const CACHES_FRAME = 40;
export const CACHES_LOW = 48;
export const CACHES_HIGH = 56;
export const CACHES_BYTES = 64;

/** A TLB: its levels, the tags of the current context, what it holds. */
export const L1 = 0;
export const L2 = 4;
export const TAG = 8;
export const GLOBAL_TAG = 12;
/** Bit c set: an entry of page-size class c has been made since everything was cleared. */
export const CLASSES = 16;
/** An entry covers part of a larger page. */
export const PIECES = 20;
/** An entry is global. */
export const GLOBALS = 24;
/** Number of page-size classes, and the shift of each. */
export const CLASS_COUNT = 32;
export const SHIFTS = 36;
/** 64 bits each. */
export const L1_HITS = 56;
export const L2_HITS = 64;
export const MISSES = 72;
/** 64 bits: what the last hit translated to. */
export const HIT_FRAME = 80;
export const TLB_BYTES = 96;

/** A CPU: its TLB and walker, and what accesses came to. */
export const CPU_TLB = 0;
export const CPU_WALKER = 4;
export const FRAME_SUM = 8;
export const CPU_FAULT = 12;
/** 64 bits each. */
export const CPU_WALKS = 16;
export const CPU_FAULTS = 24;
export const CPU_READS = 32;
export const CPU_NESTED_READS = 40;
export const CPU_MARKS = 48;
/** 64 bits. */
export const CPU_FRAME = 56;
/** Not 0: a run goes on after a fault, which is only counted. */
export const PASSES_FAULTS = 64;
/** Events of a packed trace, 8 bytes each. */
export const WINDOW = 72;
export const WINDOW_EVENTS = 1024;
export const CPU_BYTES = 8264;
