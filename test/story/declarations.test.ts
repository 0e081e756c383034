// SPDX-License-Identifier: GPL-2.0-only
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import ts from 'typescript';
import { describe, expect, it, test } from 'vitest';
import { declarationsOf } from '../../src/facts/declarations.ts';
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
