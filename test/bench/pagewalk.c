// SPDX-License-Identifier: GPL-2.0-only
/*
 * pagewalk.c - C baseline for an x86 paging replay simulator.
 *
 * One file, no dependencies.  Replays a deterministic event trace through
 *   - a two-level TLB (L1 16x4, L2 128x12, true LRU),
 *   - optional paging-structure caches (L4 1x4, L3 2x4, L2 4x8, LRU),
 *   - one of three walkers over page tables held in one u64 arena:
 *       native  4-level walk                      (4 refs, 3 for a 2 MiB page)
 *       twod    4x4 guest x nested walk           (24 refs)
 *       shadow  4-level walk of lazily filled shadow tables, exits to a
 *               fault handler that walks the guest and fills the shadow
 * and prints events/s per workload with counters and a checksum, so that
 * another implementation can prove that it did the same work.
 *
 * With --kvm the shadow workloads follow five rules of KVM's that its shadow
 * paging has and the plain one leaves out; each is marked "KVM:" below.
 *
 *   cc -O2 -o pagewalk pagewalk.c && ./pagewalk            (see docs/performance.md)
 */
#define _POSIX_C_SOURCE 200809L
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

typedef uint64_t u64;
typedef uint32_t u32;

enum { PTE_P = 1, PTE_W = 2, PTE_U = 4, PTE_A = 32, PTE_D = 64, PTE_PS = 128 };
enum { NATIVE, TWOD, SHADOW };
enum { OP_READ, OP_WRITE, OP_CR3, OP_WP, OP_PTEDIT, OP_INVLPG };
#define ADDR_MASK 0x000ffffffffff000ull
#define FRAME(p) (((p) & ADDR_MASK) >> 12)

/* ---- workload table: keep in step with workloads.ts ----------------------- */
typedef struct {
  const char *name;
  int mode, psc, spaces;
  u32 pages;        /* pages per address space                             */
  int skew;         /* 0 sequential, 1 uniform, 4 rank = pages*u^4          */
  u32 events;       /* accesses plus control events                        */
  u32 writes;       /* writes per 256 accesses                             */
  u32 cr3_every, wp_every, edit_every; /* 0 = never                        */
  int huge;         /* 1: map with 2 MiB pages                             */
  u32 seed;
} Workload;

static const Workload WL[] = {
  /* name          mode    psc sp pages    skew events    wr cr3  wp  edit huge seed */
  { "tlb-hit",     NATIVE, 0,  1, 48,      1,  16000000,  64, 0,   0,  0,   0, 1 },
  { "stlb-hit",    NATIVE, 0,  1, 1024,    1,  16000000,  64, 0,   0,  0,   0, 2 },
  { "seq-scan",    NATIVE, 1,  1, 262144,  0,   8000000,   0, 0,   0,  0,   0, 3 },
  { "zipf-mix",    NATIVE, 1,  1, 65536,   4,   8000000,  64, 0,   0,  0,   0, 4 },
  { "walk-1g",     NATIVE, 0,  1, 262144,  1,   8000000,  64, 0,   0,  0,   0, 5 },
  { "walk-1g-psc", NATIVE, 1,  1, 262144,  1,   8000000,  64, 0,   0,  0,   0, 5 },
  { "walk-16g",    NATIVE, 0,  1, 4194304, 1,   8000000,  64, 0,   0,  0,   0, 6 },
  { "walk-2m",     NATIVE, 0,  1, 4194304, 1,   8000000,  64, 0,   0,  0,   1, 6 },
  { "twod-1g",     TWOD,   0,  1, 262144,  1,   4000000,  64, 0,   0,  0,   0, 5 },
  { "twod-1g-psc", TWOD,   1,  1, 262144,  1,   4000000,  64, 0,   0,  0,   0, 5 },
  { "shadow-1g",   SHADOW, 0,  1, 262144,  1,   4000000,  64, 0,   0,  0,   0, 5 },
  { "shadow-cr3",  SHADOW, 0,  8, 4096,    4,   8000000,  64, 200, 0,  0,   0, 7 },
  { "shadow-edit", SHADOW, 0,  1, 16384,   4,   8000000,  64, 0,   0,  50,  0, 8 },
  { "shadow-wp",   SHADOW, 0,  2, 4096,    4,   8000000,  64, 400, 20, 0,   0, 9 },
  { "twod-wp",     TWOD,   0,  2, 4096,    4,   8000000,  64, 400, 20, 0,   0, 9 },
};
#define NWL (sizeof WL / sizeof WL[0])

/* ---- event trace: 8 bytes an event -------------------------------------- */
typedef struct { u32 lo, hi; } Ev; /* lo: vpn[31:0] or operand; hi: op<<24 | vpn[44:32] */

static u32 rng_s;
static inline u32 rng(void) {
  u32 x = rng_s;
  x ^= x << 13; x ^= x >> 17; x ^= x << 5;
  return rng_s = x;
}
static inline u32 mix32(u32 x) {
  x ^= x >> 16; x *= 0x7feb352du; x ^= x >> 15; x *= 0x846ca68bu; x ^= x >> 16;
  return x;
}
#define BASE_VPN 0x7f0000000ull

static u32 pick(const Workload *w, u32 n) {
  if (w->skew == 0) return n % w->pages;
  double u = rng() / 4294967296.0;
  if (w->skew == 4) { u = u * u; u = u * u; }
  u32 r = (u32)(u * w->pages);
  return w->skew == 4 ? mix32(r) & (w->pages - 1) : r; /* scatter the ranks */
}
static inline Ev ev(u32 op, u64 v) { return (Ev){ (u32)v, op << 24 | (u32)(v >> 32) }; }

static void gen(const Workload *w, Ev *out) {
  u32 wp = 1, space = 0, acc = 0;
  rng_s = 0x9e3779b9u ^ w->seed;
  for (u32 i = 0; i < w->events;) {
    acc++;
    if (w->cr3_every && acc % w->cr3_every == 0) {
      space = (space + 1) % w->spaces; out[i++] = ev(OP_CR3, space);
      if (i == w->events) break;
    }
    if (w->wp_every && acc % w->wp_every == 0) {
      wp ^= 1; out[i++] = ev(OP_WP, wp);
      if (i == w->events) break;
    }
    if (w->edit_every && acc % w->edit_every == 0) {
      u64 v = BASE_VPN + pick(w, i);
      out[i++] = ev(OP_PTEDIT, v); if (i == w->events) break;
      out[i++] = ev(OP_INVLPG, v); if (i == w->events) break;
    }
    u32 p = pick(w, i);
    u32 op = w->writes && (rng() & 255) < w->writes ? OP_WRITE : OP_READ;
    out[i++] = ev(op, BASE_VPN + p);
  }
}

/* ---- simulated machine --------------------------------------------------- */
#define L1S 16
#define L1W 4
#define L2S 128
#define L2W 12
/* one set each: key = epoch<<45 | vpn, 0 invalid; at = time of last use */
typedef struct { u64 key[L1W]; u32 pfn[L1W], fl[L1W], at[L1W]; } Set1;
typedef struct { u64 key[L2W]; u32 pfn[L2W], fl[L2W], at[L2W]; } Set2;
typedef struct { u64 key[32]; u32 frame[32], at[32]; int sets, ways; } Psc;

typedef struct { u32 gfn, role, frame; int next; } Sp;   /* shadow page header */

typedef struct {
  u64 *mem; u32 npages, cap;           /* arena of 512-entry tables          */
  u32 hbase;                           /* host frame of guest frame 0 (TWOD) */
  u32 cr3[16]; u32 space, root;        /* guest roots (gfn), current root    */
  u32 ept_root;
  u32 wp;
  int kvm;                             /* KVM's rules (SHADOW)               */
  u64 epoch; u32 clock;
  Set1 l1[L1S]; Set2 l2[L2S];
  Psc p2, p3, p4;
  Sp *sp; u32 nsp, capsp; int *hash; u32 hmask;
  /* counters */
  u64 acc, l1hit, l2hit, walks, refs, faults, exits, flushes, adw, fills;
  u32 sum;
} Sim;

static u32 new_page(Sim *s) {
  if (s->npages == s->cap) {
    u32 nc = s->cap * 2;
    u64 *m = realloc(s->mem, (size_t)nc * 4096);
    if (!m) abort();
    memset(m + (size_t)s->cap * 512, 0, (size_t)(nc - s->cap) * 4096);
    s->mem = m; s->cap = nc;
  }
  return s->npages++;
}

static void psc_clear(Sim *s) {
  memset(s->p2.key, 0, sizeof s->p2.key); memset(s->p2.at, 0, sizeof s->p2.at);
  memset(s->p3.key, 0, sizeof s->p3.key); memset(s->p3.at, 0, sizeof s->p3.at);
  memset(s->p4.key, 0, sizeof s->p4.key); memset(s->p4.at, 0, sizeof s->p4.at);
}
static void flush(Sim *s) {
  s->flushes++;
  s->epoch += 1ull << 45;
  psc_clear(s);
}

/* map a guest (or ept) leaf, building intermediate tables */
static void map_in(Sim *s, u32 root, u64 vpn, u32 pfn, u32 fl, int leaf, u32 off) {
  u32 t = root;
  for (int l = 4; l > leaf; l--) {
    u64 *p = &s->mem[(size_t)t * 512 + ((vpn >> (9 * (l - 1))) & 511)];
    if (!(*p & PTE_P)) {
      u32 n = new_page(s);
      p = &s->mem[(size_t)t * 512 + ((vpn >> (9 * (l - 1))) & 511)];
      *p = (u64)(n - off) << 12 | PTE_P | PTE_W | PTE_U;
    }
    t = (u32)FRAME(*p) + off;
  }
  s->mem[(size_t)t * 512 + ((vpn >> (9 * (leaf - 1))) & 511)] = (u64)pfn << 12 | fl;
}

#define DATA_GFN 0x400000u   /* guest frame of the first data page  */
#define DATA_HFN 0x4000000u  /* host frame of the first data page   */

static u32 leaf_flags(u32 i) {
  return PTE_P | PTE_U | ((mix32(i) & 15) ? PTE_W : 0);
}

static void sim_init(Sim *s, const Workload *w, int kvm) {
  memset(s, 0, sizeof *s);
  s->kvm = kvm;
  s->cap = 1024; s->mem = calloc(s->cap, 4096);
  s->npages = 1;                           /* frame 0 stays unused           */
  s->wp = 1; s->epoch = 1ull << 45;
  s->p4.sets = 1; s->p4.ways = 4; s->p3.sets = 2; s->p3.ways = 4; s->p2.sets = 4; s->p2.ways = 8;
  for (int c = 0; c < w->spaces; c++) {
    u32 root = new_page(s); s->cr3[c] = root;
    if (w->huge) {
      for (u32 i = 0; i < w->pages; i += 512)
        map_in(s, root, BASE_VPN + i, DATA_GFN + c * w->pages + i, leaf_flags(i >> 9) | PTE_PS, 2, 0);
    } else {
      for (u32 i = 0; i < w->pages; i++)
        map_in(s, root, BASE_VPN + i, DATA_GFN + c * w->pages + (i ^ 0x15), leaf_flags(i), 1, 0);
    }
  }
  u32 tables = s->npages;
  if (w->mode == TWOD) {
    s->ept_root = new_page(s);             /* ept maps guest tables 1:1      */
    for (u32 g = 1; g < tables; g++) map_in(s, s->ept_root, g, g, PTE_P | PTE_W | PTE_U, 1, 0);
    for (u32 g = 0; g < w->pages * w->spaces; g++)
      map_in(s, s->ept_root, DATA_GFN + g, DATA_HFN + g, PTE_P | PTE_W | PTE_U, 1, 0);
  }
  s->root = s->cr3[0];
  if (w->mode == SHADOW) {
    s->capsp = 1024; s->sp = malloc(s->capsp * sizeof(Sp));
    s->hmask = 4095; s->hash = malloc((s->hmask + 1) * sizeof(int));
    memset(s->hash, 0xff, (s->hmask + 1) * sizeof(int));
  }
}
static void sim_free(Sim *s) { free(s->mem); free(s->sp); free(s->hash); }

/* ---- paging-structure caches --------------------------------------------- */
static inline u32 psc_get(Psc *p, u64 tag, u32 now) {
  int b = (int)(tag & (u64)(p->sets - 1)) * p->ways;
  for (int i = b; i < b + p->ways; i++)
    if (p->key[i] == tag + 1) { p->at[i] = now; return p->frame[i]; }
  return 0;
}
static inline void psc_put(Psc *p, u64 tag, u32 frame, u32 now) {
  int b = (int)(tag & (u64)(p->sets - 1)) * p->ways, v = b;
  for (int i = b; i < b + p->ways; i++) {
    if (p->key[i] == tag + 1) { v = i; break; }
    if (p->at[i] < p->at[v]) v = i;
  }
  p->key[v] = tag + 1; p->frame[v] = frame; p->at[v] = now;
}

/* ---- walkers: return pfn and flags, 0 flags = fault ----------------------- */
typedef struct { u32 pfn, fl; } Xl;

static inline u32 ept_walk(Sim *s, u32 gfn) {
  u32 t = s->ept_root;
  for (int l = 3; l >= 0; l--) {
    u64 p = s->mem[(size_t)t * 512 + (((u64)gfn >> (9 * l)) & 511)];
    s->refs++;
    if (!(p & PTE_P)) return 0;
    t = (u32)FRAME(p);
  }
  return t;
}

static inline __attribute__((always_inline))
Xl guest_walk(Sim *s, u32 root, u64 vpn, int write, const int twod, const int psc) {
  u32 t = root; int l = 4; u32 perm = PTE_W | PTE_U, now = s->clock;
  if (psc) {
    u32 f;
    if ((f = psc_get(&s->p2, vpn >> 9, now))) { t = f; l = 1; }
    else if ((f = psc_get(&s->p3, vpn >> 18, now))) { t = f; l = 2; }
    else if ((f = psc_get(&s->p4, vpn >> 27, now))) { t = f; l = 3; }
  }
  for (;; l--) {
    u32 h = t;
    if (twod) { h = ept_walk(s, t); if (!h) { s->faults++; return (Xl){0, 0}; } }
    u64 *e = &s->mem[(size_t)h * 512 + ((vpn >> (9 * (l - 1))) & 511)];
    u64 p = *e;
    s->refs++;
    if (!(p & PTE_P)) { s->faults++; return (Xl){0, 0}; }
    perm &= (u32)p;
    int leaf = l == 1 || (p & PTE_PS);
    if (leaf && write && !(perm & PTE_W) && s->wp) { s->faults++; return (Xl){0, 0}; }
    u64 set = PTE_A | (leaf && write ? PTE_D : 0);
    if ((p & set) != set) { *e = p |= set; s->adw++; }
    u32 f = (u32)FRAME(p);
    if (leaf) {
      if (l == 2) f += (u32)(vpn & 511);
      if (twod) { f = ept_walk(s, f); if (!f) { s->faults++; return (Xl){0, 0}; } }
      return (Xl){ f, PTE_P | perm | (u32)(p & PTE_D) };
    }
    if (psc) psc_put(l == 4 ? &s->p4 : l == 3 ? &s->p3 : &s->p2, vpn >> (9 * (l - 1)), f, now);
    t = f;
  }
}

/* shadow pages: found by (guest frame, role), chained hash, grown on demand */
static inline u32 sp_hash(Sim *s, u32 gfn) { return mix32(gfn) & s->hmask; }
static u32 sp_get(Sim *s, u32 gfn, u32 role) {
  u32 h = sp_hash(s, gfn);
  for (int i = s->hash[h]; i >= 0; i = s->sp[i].next)
    if (s->sp[i].gfn == gfn && s->sp[i].role == role) return s->sp[i].frame;
  if (s->nsp == s->capsp) { s->capsp *= 2; s->sp = realloc(s->sp, s->capsp * sizeof(Sp)); if (!s->sp) abort(); }
  u32 f = new_page(s);
  s->sp[s->nsp] = (Sp){ gfn, role, f, s->hash[h] };
  s->hash[h] = (int)s->nsp++;
  return f;
}
static inline u32 role_of(Sim *s, int level) { return (u32)level | s->wp << 4; }

/* KVM: the absent ones of eight entries, up to the first whose guest entry is not accessed (FNAME(pte_prefetch)) */
static void prefetch(Sim *s, const u64 *guest, u64 *shadow, u32 ix) {
  for (u32 i = ix & ~7u; i < (ix & ~7u) + 8; i++) {
    u64 p = guest[i];
    if (i == ix || (shadow[i] & PTE_P)) continue;
    if ((p & (PTE_P | PTE_A)) != (PTE_P | PTE_A)) return;
    shadow[i] = (FRAME(p) - DATA_GFN + DATA_HFN) << 12 | PTE_P | (p & PTE_U) | ((p & PTE_D) ? p & PTE_W : 0);
    s->fills++;
  }
}

static Xl shadow_fault(Sim *s, u64 vpn, int write) {
  s->exits++;
  Xl x = guest_walk(s, s->cr3[s->space], vpn, write, 0, 0);
  if (!x.fl) return x;
  /* guest entry writable for the shadow once dirty; with WP=0 a supervisor write is mapped writable */
  u32 fl = PTE_P | (x.fl & PTE_U);
  /* KVM: with WP=0 an entry that the guest may not write becomes writable at a write only (FNAME(page_fault)) */
  if ((x.fl & PTE_D) && ((x.fl & PTE_W) || (!s->wp && (write || !s->kvm)))) fl |= PTE_W;
  u32 g = s->cr3[s->space], t = s->root;
  for (int l = 4; l > 1; l--) {
    u32 ix = (vpn >> (9 * (l - 1))) & 511;
    g = (u32)FRAME(s->mem[(size_t)g * 512 + ix]);
    u64 e = s->mem[(size_t)t * 512 + ix];
    if (!(e & PTE_P)) {
      u32 f = sp_get(s, g, role_of(s, l - 1));
      s->mem[(size_t)t * 512 + ix] = e = (u64)f << 12 | PTE_P | PTE_W | PTE_U;
      s->fills++;
    }
    t = (u32)FRAME(e);
  }
  s->mem[(size_t)t * 512 + (vpn & 511)] = (u64)(x.pfn - DATA_GFN + DATA_HFN) << 12 | fl;
  s->fills++;
  if (s->kvm) prefetch(s, &s->mem[(size_t)g * 512], &s->mem[(size_t)t * 512], vpn & 511);
  return (Xl){ 0, PTE_P };
}

static inline Xl shadow_walk(Sim *s, u64 vpn, int write) {
  for (;;) {
    u32 t = s->root;
    for (int l = 4;; l--) {
      u64 p = s->mem[(size_t)t * 512 + ((vpn >> (9 * (l - 1))) & 511)];
      s->refs++;
      if (!(p & PTE_P) || (l == 1 && write && !(p & PTE_W))) break;
      t = (u32)FRAME(p);
      if (l == 1) return (Xl){ t, PTE_P | (u32)(p & (PTE_W | PTE_U)) | ((p & PTE_W) ? PTE_D : 0) };
    }
    Xl x = shadow_fault(s, vpn, write);
    if (!x.fl) return x;
  }
}

/* ---- TLB ------------------------------------------------------------------ */
static inline u32 ok_write(u32 fl, u32 wp) { return (fl >> 6) & ((fl >> 1) | (wp ^ 1)) & 1; }

/* Branch-free search: one bit per way, no early exit, so that a random way costs no mispredict. */
static inline __attribute__((always_inline)) u32 match(const u64 *k, u64 key, const int ways) {
  u32 m = 0;
  for (int i = 0; i < ways; i++) m |= (u32)(k[i] == key) << i;
  return m;
}
static inline __attribute__((always_inline)) int oldest(const u32 *at, const int ways) {
  u32 best = at[0]; int v = 0;
  for (int i = 1; i < ways; i++) { int c = at[i] < best; v = c ? i : v; best = c ? at[i] : best; }
  return v;
}
#define CTZ(m) __builtin_ctz(m)

static void drop(Sim *s, u64 vpn) {
  u64 key = s->epoch | vpn;
  Set1 *a = &s->l1[vpn & (L1S - 1)];
  for (int i = 0; i < L1W; i++) if (a->key[i] == key) { a->key[i] = 0; a->at[i] = 0; break; }
  Set2 *b = &s->l2[vpn & (L2S - 1)];
  for (int i = 0; i < L2W; i++) if (b->key[i] == key) { b->key[i] = 0; b->at[i] = 0; break; }
}

static inline __attribute__((always_inline))
void access1(Sim *s, u64 vpn, u32 write, const int mode, const int psc) {
  u64 key = s->epoch | vpn;
  Set1 *a = &s->l1[vpn & (L1S - 1)];
  u32 now = ++s->clock;
  s->acc++;
  u32 m1 = match(a->key, key, L1W);
  if (m1) {
    int i = CTZ(m1);
    if ((write ^ 1) | ok_write(a->fl[i], s->wp)) {
      a->at[i] = now; s->l1hit++; s->sum += a->pfn[i];
      return;
    }
  }
  int i1 = m1 ? CTZ(m1) : oldest(a->at, L1W);
  Set2 *b = &s->l2[vpn & (L2S - 1)];
  u32 m2 = match(b->key, key, L2W);
  int i2;
  u32 pfn, fl;
  if (m2 && (i2 = CTZ(m2), (write ^ 1) | ok_write(b->fl[i2], s->wp))) {
    pfn = b->pfn[i2]; fl = b->fl[i2];
    s->l2hit++;
  } else {
    s->walks++;
    Xl x = mode == SHADOW ? shadow_walk(s, vpn, (int)write)
                          : guest_walk(s, s->root, vpn, (int)write, mode == TWOD, psc);
    if (!x.fl) {
      /* KVM: the guest gets its #PF without the translation of its address (kvm_inject_emulated_page_fault) */
      if (mode == SHADOW && s->kvm) drop(s, vpn);
      return;
    }
    i2 = m2 ? CTZ(m2) : oldest(b->at, L2W);
    b->key[i2] = key; b->pfn[i2] = pfn = x.pfn; b->fl[i2] = fl = x.fl;
  }
  b->at[i2] = now;
  a->key[i1] = key; a->pfn[i1] = pfn; a->fl[i1] = fl; a->at[i1] = now;
  s->sum += pfn;
}

static void invlpg(Sim *s, u64 vpn, int mode) {
  drop(s, vpn);
  psc_clear(s);                 /* INVLPG drops every paging-structure-cache entry of the PCID */
  if (mode == SHADOW) s->exits++;
}

static void pt_edit(Sim *s, u64 vpn, int mode) {
  u32 t = s->cr3[s->space];
  for (int l = 4; l > 1; l--) t = (u32)FRAME(s->mem[(size_t)t * 512 + ((vpn >> (9 * (l - 1))) & 511)]);
  u64 *e = &s->mem[(size_t)t * 512 + (vpn & 511)];
  *e = (*e ^ PTE_W) & ~(u64)(PTE_A | PTE_D);
  if (mode == SHADOW) {                     /* write-protected: exit, zap every role's entry */
    s->exits++;
    u64 zapped = 0;
    for (int i = s->hash[sp_hash(s, t)]; i >= 0; i = s->sp[i].next)
      if (s->sp[i].gfn == t) {
        u64 *p = &s->mem[(size_t)s->sp[i].frame * 512 + (vpn & 511)];
        zapped |= *p & PTE_P; *p = 0;
      }
    /* KVM: no translation may stay that an entry taken away had given (kvm_mmu_pte_write) */
    if (s->kvm && zapped) flush(s);
  }
}

static inline __attribute__((always_inline))
void replay_t(Sim *s, const Ev *t, u32 n, const int mode, const int psc) {
  if (mode == SHADOW) s->root = sp_get(s, s->cr3[s->space], role_of(s, 4));
  for (u32 i = 0; i < n; i++) {
    u32 op = t[i].hi >> 24; u64 v = (u64)(t[i].hi & 0x1fff) << 32 | t[i].lo;
    if (op <= OP_WRITE) { access1(s, v, op, mode, psc); continue; }
    switch (op) {
    case OP_CR3:
      s->space = t[i].lo; s->root = s->cr3[s->space];
      if (mode == SHADOW) { s->exits++; s->root = sp_get(s, s->root, role_of(s, 4)); }
      /* KVM: one flush as the guest asks (kvm_invalidate_pcid), one for the root loaded (kvm_mmu_load) */
      if (mode == SHADOW && s->kvm) s->flushes++;
      flush(s); break;
    case OP_WP:
      s->wp = t[i].lo;
      if (mode == SHADOW) { s->exits++; s->root = sp_get(s, s->cr3[s->space], role_of(s, 4)); flush(s); }
      break;
    case OP_PTEDIT: pt_edit(s, v, mode); break;
    case OP_INVLPG: invlpg(s, v, mode); break;
    }
  }
}
static __attribute__((noinline)) void replay(Sim *s, const Ev *t, u32 n, int mode, int psc) {
  if (mode == NATIVE) { if (psc) replay_t(s, t, n, NATIVE, 1); else replay_t(s, t, n, NATIVE, 0); }
  else if (mode == TWOD) { if (psc) replay_t(s, t, n, TWOD, 1); else replay_t(s, t, n, TWOD, 0); }
  else replay_t(s, t, n, SHADOW, 0);
}

/* ---- harness ---------------------------------------------------------------- */
static double now_s(clockid_t id) {
  struct timespec t; clock_gettime(id, &t);
  return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}
static int cmp(const void *a, const void *b) {
  double x = *(const double *)a, y = *(const double *)b;
  return x < y ? -1 : x > y;
}

int main(int argc, char **argv) {
  int runs = 5, json = 0, kvm = 0; const char *only = NULL, *dump = NULL; double scale = 1;
  for (int i = 1; i < argc; i++) {
    if (!strcmp(argv[i], "--runs") && i + 1 < argc) runs = atoi(argv[++i]);
    else if (!strcmp(argv[i], "--only") && i + 1 < argc) only = argv[++i];
    else if (!strcmp(argv[i], "--scale") && i + 1 < argc) scale = atof(argv[++i]);
    else if (!strcmp(argv[i], "--dump") && i + 1 < argc) dump = argv[++i];
    else if (!strcmp(argv[i], "--json")) json = 1;
    else if (!strcmp(argv[i], "--kvm")) kvm = 1;
    else { fprintf(stderr, "usage: %s [--runs N] [--only NAME] [--scale F] [--json] [--kvm] [--dump FILE]\n", argv[0]); return 2; }
  }
  if (runs < 1 || runs > 99 || scale <= 0 || scale > 100) return 2;
  if (!json) printf("%-12s %9s %8s %7s %9s %7s %8s %7s %7s  %s\n", "workload", "Mev/s", "min", "max",
                    "walks", "ref/wk", "exits", "faults", "spages", "checksum");
  for (size_t k = 0; k < NWL; k++) {
    if (only && strcmp(only, WL[k].name)) continue;
    Workload w = WL[k]; w.events = (u32)(w.events * scale);
    Ev *t = malloc((size_t)w.events * sizeof *t); if (!t) abort();
    gen(&w, t);
    if (dump) { FILE *f = fopen(dump, "wb"); if (!f) return 1; fwrite(t, 8, w.events, f); fclose(f); }
    double r[99], q[99]; Sim s;
    for (int i = 0; i < runs; i++) {
      sim_init(&s, &w, kvm);
      double c = now_s(CLOCK_PROCESS_CPUTIME_ID), a = now_s(CLOCK_MONOTONIC);
      replay(&s, t, w.events, w.mode, w.psc);
      double b = now_s(CLOCK_MONOTONIC), d = now_s(CLOCK_PROCESS_CPUTIME_ID);
      r[i] = w.events / (b - a) / 1e6; q[i] = w.events / (d - c) / 1e6;
      if (i + 1 < runs) sim_free(&s);
    }
    qsort(r, (size_t)runs, sizeof *r, cmp); qsort(q, (size_t)runs, sizeof *q, cmp);
    if (json)
      printf("{\"impl\":\"c\",\"workload\":\"%s\",\"mev_s\":%.3f,\"cpu_mev_s\":%.3f,\"min\":%.3f,\"max\":%.3f,\"events\":%u,\"l1\":%llu,\"l2\":%llu,\"walks\":%llu,\"refs\":%llu,\"faults\":%llu,\"exits\":%llu,\"flushes\":%llu,\"adw\":%llu,\"fills\":%llu,\"spages\":%u,\"sum\":%u}\n",
        w.name, r[runs / 2], q[runs / 2], r[0], r[runs - 1], w.events, (unsigned long long)s.l1hit, (unsigned long long)s.l2hit,
        (unsigned long long)s.walks, (unsigned long long)s.refs, (unsigned long long)s.faults, (unsigned long long)s.exits,
        (unsigned long long)s.flushes, (unsigned long long)s.adw, (unsigned long long)s.fills, s.nsp, s.sum);
    else
      printf("%-12s %9.2f %8.2f %7.2f %9llu %7.2f %8llu %7llu %7u  %08x\n", w.name, r[runs / 2], r[0], r[runs - 1],
        (unsigned long long)s.walks, s.walks ? (double)s.refs / (double)s.walks : 0.0, (unsigned long long)s.exits,
        (unsigned long long)s.faults, s.nsp, s.sum);
    fflush(stdout);
    sim_free(&s); free(t);
  }
  return 0;
}
