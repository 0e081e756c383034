// SPDX-License-Identifier: GPL-2.0-only
import { buildRepository, type FixtureCommit } from './repository.ts';

/**
 * A small history in the shape of KVM's: a role union whose bit-fields come and go, functions that compute it, a file that
 * moves to a folder, two merges, a release. The C is written for these tests and is nobody's kernel.
 */

const host = 'arch/x86/include/asm/kvm_host.h';
const oldMmu = 'arch/x86/kvm/mmu.c';
const mmu = 'arch/x86/kvm/mmu/mmu.c';
const x86 = 'arch/x86/kvm/x86.c';
export const paths = {
  host,
  oldMmu,
  mmu,
  x86,
  spaced: 'Documentation/virt/kvm/Rollen – über alles.rst',
  other: 'fs/other.c',
};

interface Field {
  readonly name: string;
  readonly width: number;
}

const union = (tag: string, fields: readonly Field[], word = 'word'): string =>
  [
    `union ${tag} {`,
    `\tu32 ${word};`,
    '\tstruct {',
    ...fields.map(({ name, width }) => (name === '' ? `\t\tunsigned :${width};` : `\t\tunsigned ${name}:${width};`)),
    '\t};',
    '};',
    '',
  ].join('\n');

const firstFields: Field[] = [
  { name: 'level', width: 4 },
  { name: 'cr4_pae', width: 1 },
  { name: 'direct', width: 1 },
  { name: 'access', width: 3 },
  { name: 'invalid', width: 1 },
];
const withWp: Field[] = [...firstFields, { name: 'cr0_wp', width: 1 }];
const withSmm: Field[] = [...withWp, { name: '', width: 13 }, { name: 'smm', width: 8 }];

const header = (...unions: string[]): string =>
  ['#ifndef FIXTURE_HOST_H', '#define FIXTURE_HOST_H', '', ...unions, '#endif', ''].join('\n');

/** Lines that do not change, so that hunks stay apart and a moved file is still the same file. */
const filler = (name: string): string =>
  [
    '',
    `static int ${name}(int steps)`,
    '{',
    ...Array.from({ length: 8 }, (_, i) => `\tsteps += ${i};`),
    '\treturn steps;',
    '}',
    '',
  ].join('\n');

const calc = (name: string, lines: readonly string[]): string =>
  [
    `static union kvm_mmu_page_role`,
    `${name}(struct kvm_vcpu *vcpu)`,
    '{',
    '\tunion kvm_mmu_page_role role = {};',
    '',
    ...lines.map((line) => `\t${line}`),
    '',
    '\treturn role;',
    '}',
    '',
  ].join('\n');

const mmuText = (role: string, init: string): string =>
  `#include "mmu.h"\n${filler('count_steps')}\n${role}${filler('count_pages')}\n${init}`;
const init = (body: string): string =>
  ['void kvm_init_mmu(struct kvm_vcpu *vcpu)', '{', `\t${body}`, '}', ''].join('\n');

const roleFirst = calc('kvm_calc_base_role', ['role.level = vcpu->level;', 'role.access = 7;']);
const roleWp = calc('kvm_calc_base_role', ['role.level = vcpu->level;', 'role.access = 7;', 'role.cr0_wp = vcpu->wp;']);
const roleCpu = calc('kvm_calc_cpu_role', [
  'role.level = vcpu->level;',
  'role.access = 7;',
  'role.cr0_wp = vcpu->wp;',
  'role.smm = vcpu->smm;',
]);

const x86Text = (note: string): string => `/* ${note} */\n${filler('load_guest')}`;

const ada = 'Ada Beispiel <ada@example.org>';
const juergen = 'Jürgen Groß <juergen@example.org>';

/** Oldest first. `left` and `right` are merged twice; `release` is tagged v5.17. */
export const fixtureCommits: readonly FixtureCommit[] = [
  {
    name: 'first',
    author: ada,
    date: '1229860800 +0200',
    message: 'KVM: MMU: Compute a base role\n\nOne word for all that makes pages differ.\n',
    files: {
      [host]: header(union('kvm_mmu_page_role', firstFields)),
      [oldMmu]: mmuText(roleFirst, init('vcpu->role = kvm_calc_base_role(vcpu);')),
      [x86]: x86Text('first'),
      MAINTAINERS: 'ada\n',
    },
  },
  {
    name: 'wp',
    author: juergen,
    date: '1267444800 -0330',
    message: 'KVM: MMU: CR0.WP\n joins the role\n\nPages differ by it.\n',
    files: {
      [host]: header(union('kvm_mmu_page_role', withWp)),
      [oldMmu]: mmuText(roleWp, init('vcpu->role = kvm_calc_base_role(vcpu);')),
    },
  },
  {
    name: 'left',
    author: ada,
    date: '1267531200 +0000',
    message: 'KVM: x86: Load the guest earlier\n',
    files: { [x86]: x86Text('left') },
  },
  {
    name: 'right',
    parents: ['wp'],
    author: ada,
    date: '1267617600 +0000',
    message: 'docs: kvm: Explain roles\n',
    files: { [paths.spaced]: 'Rollen\n======\n', [paths.other]: 'int other;\n' },
  },
  {
    name: 'merge',
    parents: ['left', 'right'],
    author: ada,
    date: '1267704000 +0000',
    message: "Merge branch 'docs'\n",
    files: { [paths.spaced]: 'Rollen\n======\n', [paths.other]: 'int other;\n' },
  },
  {
    name: 'move',
    author: juergen,
    date: '1574380800 +0100',
    message: 'KVM: x86: Move MMU files to their own folder\n',
    renames: [[oldMmu, mmu]],
    files: {},
  },
  {
    name: 'release',
    author: ada,
    date: '1647800000 -0700',
    message: 'Linux 5.17\n',
    files: { Makefile: 'VERSION = 5\nPATCHLEVEL = 17\n' },
    tag: 'v5.17',
  },
  {
    name: 'cpu-role',
    author: juergen,
    date: '1649900000 -0400',
    message: 'KVM: x86/mmu: Rename the role after the CPU\n',
    files: {
      [host]: header(
        union('kvm_mmu_page_role', withSmm),
        union('kvm_mmu_extended_role', [
          { name: 'valid', width: 1 },
          { name: 'execonly', width: 1 },
        ]),
      ),
      [mmu]: mmuText(roleCpu, init('vcpu->role = kvm_calc_cpu_role(vcpu);')),
    },
  },
  {
    name: 'topic',
    parents: ['release'],
    author: ada,
    date: '1649990000 +0000',
    message: 'KVM: x86: Note the topic\n',
    files: { [x86]: x86Text('topic'), [paths.spaced]: 'Rollen\n======\n\nMehr.\n' },
  },
  {
    name: 'merge-topic',
    parents: ['cpu-role', 'topic'],
    author: ada,
    date: '1650000000 +0000',
    message: "Merge branch 'topic'\n",
    files: { [x86]: x86Text('topic'), [paths.spaced]: 'Rollen\n======\n\nMehr.\n', [paths.other]: 'int other = 1;\n' },
  },
  {
    name: 'last',
    author: juergen,
    date: '1650100000 +0900',
    message: 'KVM: x86/mmu: Drop the count of steps\n',
    files: {
      [mmu]: mmuText(roleCpu, init('vcpu->role = kvm_calc_cpu_role(vcpu);')).replace(filler('count_steps'), ''),
    },
  },
];

/** Makes the repository in `folder` (with a work tree and branch main) and gives the commit ids by name. */
export const buildFixture = (folder: string): Record<string, string> => buildRepository(folder, fixtureCommits);
