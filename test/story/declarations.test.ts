// SPDX-License-Identifier: GPL-2.0-only
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import ts from 'typescript';
import { describe, expect, it, test } from 'vitest';
import { declarationsOf } from '../../src/facts/declarations.ts';
import { citationOf, citedFunctions } from '../../src/facts/port-source.ts';
import { filesOf, portFolders, snapshots } from '../role/folders.ts';

/** Name, first and last line of every top-level declaration, by the compiler's own parser. */
function parsed(text: string): string[] {
  const source = ts.createSourceFile('port.ts', text, ts.ScriptTarget.Latest, true);
  const line = (position: number): number => source.getLineAndCharacterOfPosition(position).line + 1;
  return source.statements.flatMap((statement) => {
    const names = ts.isVariableStatement(statement)
      ? statement.declarationList.declarations.map(({ name }) => name.getText())
      : ts.isFunctionDeclaration(statement) ||
          ts.isInterfaceDeclaration(statement) ||
          ts.isClassDeclaration(statement) ||
          ts.isTypeAliasDeclaration(statement) ||
          ts.isEnumDeclaration(statement)
        ? [statement.name!.text]
        : [];
    return names
      .filter((name) => /^\w+$/.test(name))
      .map((name) => `${name} ${line(statement.getStart())}-${line(statement.getEnd())}`);
  });
}

describe('declarations', () => {
  test.each(portFolders)('%s: the lines that the TypeScript parser finds', (port) => {
    let seen = 0;
    for (const file of filesOf(port)) {
      const text = readFileSync(join(snapshots, port, file), 'utf8');
      const found = declarationsOf(text).map(({ name, first, last }) => `${name} ${first}-${last}`);
      expect(found).toEqual(parsed(text));
      seen += found.length;
    }
    expect(seen).toBeGreaterThan(100);
  });

  it('has the doc comment above, and not one further up', () => {
    const [first, second] = declarationsOf(
      '/**\n * v5.19 mmu.c:12 one: counts\n * twice.\n */\nfunction one() {\n  return 1;\n}\n\nconst two = 2;\n',
    );
    expect(first).toMatchObject({ first: 5, last: 7, comment: 'v5.19 mmu.c:12 one: counts twice.' });
    expect(second).toMatchObject({ first: 9, last: 9, comment: null });
  });
});

describe('citations', () => {
  const cited = (comment: string, folder: string) =>
    citationOf({ name: 'f', first: 1, last: 1, lines: [], comment }, folder);

  test.each([
    ['v5.10.262 mmu.c:3831 is_root_usable: roots', '2020-12-v5.10', 'v5.10.262', 'arch/x86/kvm/mmu/mmu.c', 3831],
    ['a770f6f28b1a mmu.c init_kvm_tdp_mmu:2221', '2008-12-base-role', 'a770f6f28b1a', 'arch/x86/kvm/mmu.c', 2221],
    ['v4.20 x86.c kvm_set_cr0', '2018-12-v4.20', 'v4.20', 'arch/x86/kvm/x86.c', null],
    ['v6.1.192 svm/nested.c enter_svm_guest_mode', '2026-11-v6.1', 'v6.1.192', 'arch/x86/kvm/svm/nested.c', null],
    ['v5.19 kvm_host.h:12', '2022-07-v5.19', 'v5.19', 'arch/x86/include/asm/kvm_host.h', 12],
  ])('%s', (comment, folder, revision, path, line) => {
    expect(cited(comment, folder)).toEqual({ revision, path, line });
  });

  it('takes no number of the text for a line', () => {
    expect(cited('v7.2.12 mmu.c f: bits 4:1 of the code', '2026-11-v7.2')!.line).toBeNull();
    for (const port of portFolders) {
      for (const { line } of citedFunctions(port).values()) expect(line ?? 100).toBeGreaterThan(20);
    }
  });

  it('sees none in prose', () => {
    expect(cited('The guest is in mmu.c of v5.19.', '2022-07-v5.19')).toBeNull();
    expect(cited('v5.19 lines', '2022-07-v5.19')).toBeNull();
  });

  test.each(portFolders)('%s cites its functions', (port) => {
    const functions = citedFunctions(port);
    expect(functions.size).toBeGreaterThan(90);
    expect(functions.get('kvm_mmu_reset_context')!.path).toMatch(/^arch\/x86\/kvm\/(mmu\/)?mmu\.c$/);
  });
});
