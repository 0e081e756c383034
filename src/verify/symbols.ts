// SPDX-License-Identifier: GPL-2.0-only
import type { Node } from 'web-tree-sitter';
import { childrenOf, firstLine, lastLine, parseC } from './parser.ts';

/** What a name of a C file is. A `prototype` is a declaration of a function that is defined elsewhere. */
export type SymbolKind =
  | 'function'
  | 'macro'
  | 'struct'
  | 'union'
  | 'enum'
  | 'constant'
  | 'type'
  | 'variable'
  | 'prototype'
  | 'macro use';

/** One place in a C file that gives a name its meaning, with its 1-based lines. */
export interface CSymbol {
  readonly kind: SymbolKind;
  readonly first: number;
  readonly last: number;
}

/** Every name that a file defines on its top level; a name can stand there several times, under different #ifs. */
export type SymbolTable = ReadonlyMap<string, readonly CSymbol[]>;

/** The names of a C file. Functions of paging_tmpl.h, which are named through FNAME(), stand under the name inside. */
export async function symbolsOf(text: string): Promise<SymbolTable> {
  return await parseC(text, (root) => {
    const table = new Map<string, CSymbol[]>();
    const macros: Macros = new Map();
    collect(root, macros, (name, kind, node) => {
      const found = table.get(name) ?? [];
      found.push({ kind, first: firstLine(node), last: lastLine(node) });
      table.set(name, found);
    });
    return table;
  });
}

type Add = (name: string, kind: SymbolKind, node: Node) => void;

/** Macros that paste names together: their parameters, and the names as written, `is_##reg##_##name`. */
type Macros = Map<string, { readonly parameters: readonly string[]; readonly pasted: readonly string[] }>;

/** Walks the top level and what #if, #ifdef, extern "C" and parse errors wrap around it, not the bodies of functions. */
function collect(parent: Node, macros: Macros, add: Add): void {
  for (const node of childrenOf(parent)) {
    switch (node.type) {
      case 'function_definition':
        addType(node.childForFieldName('type'), add);
        addDeclarator(node.childForFieldName('declarator'), 'function', node, add);
        break;
      case 'preproc_function_def':
        macros.set(textOf(node.childForFieldName('name')), macroOf(node));
        add(textOf(node.childForFieldName('name')), 'macro', node);
        break;
      case 'preproc_def':
        add(textOf(node.childForFieldName('name')), 'macro', node);
        break;
      case 'declaration':
        addType(node.childForFieldName('type'), add);
        for (const declarator of node.childrenForFieldName('declarator')) {
          if (declarator) addDeclarator(declarator, isFunction(declarator) ? 'prototype' : 'variable', node, add);
        }
        break;
      case 'type_definition':
        addType(node.childForFieldName('type'), add);
        addDeclarator(node.childForFieldName('declarator'), 'type', node, add);
        break;
      case 'struct_specifier':
      case 'union_specifier':
      case 'enum_specifier':
        addType(node, add);
        break;
      case 'expression_statement':
        // A macro that makes functions, such as BUILD_MMU_ROLE_ACCESSOR(base, cr0, wp), reads as a call.
        addUse(node, macros, add);
        break;
      default:
        if (
          /^preproc_(if|ifdef|elif|elifdef|else)$|^ERROR$|^linkage_specification$|^declaration_list$/.test(node.type)
        ) {
          collect(node, macros, add);
        }
    }
  }
}

/** A struct, union or enum with a body, what is nested in it, and the constants of an enum. */
function addType(type: Node | null, add: Add): void {
  const body = type?.childForFieldName('body');
  if (!type || !body) return;
  const kind = { struct_specifier: 'struct', union_specifier: 'union', enum_specifier: 'enum' } as const;
  const name = type.childForFieldName('name');
  if (name && type.type in kind) add(name.text, kind[type.type as keyof typeof kind], type);
  for (const member of childrenOf(body)) {
    if (member.type === 'enumerator') add(textOf(member.childForFieldName('name')), 'constant', member);
    else if (member.type === 'field_declaration') addType(member.childForFieldName('type'), add);
  }
}

/** The name inside pointers, arrays, initialisers and parameter lists; `FNAME(walk_addr)(…)` gives walk_addr. */
function addDeclarator(declarator: Node | null, kind: SymbolKind, whole: Node, add: Add): void {
  let node = declarator;
  while (node) {
    const inner: Node | null = node.childForFieldName('declarator');
    if (node.type === 'function_declarator' && inner?.text === 'FNAME') {
      add(node.text.replace(/^FNAME\s*\(\s*(\w+)[\s\S]*$/, '$1'), kind, whole);
      return;
    }
    if (!inner && node.type !== 'parenthesized_declarator') break;
    node = inner ?? childrenOf(node)[0] ?? null;
  }
  if (node && /identifier$/.test(node.type)) add(node.text, kind, whole);
}

function addUse(statement: Node, macros: Macros, add: Add): void {
  const call = childrenOf(statement)[0];
  const name = call?.type === 'call_expression' ? call.childForFieldName('function') : null;
  if (name?.type !== 'identifier') return;
  add(name.text, 'macro use', statement);
  const macro = macros.get(name.text);
  const values = childrenOf(call!.childForFieldName('arguments')!).map(({ text }) => text);
  for (const pasted of macro?.pasted ?? []) {
    const parts = pasted.split(/\s*##\s*/);
    add(parts.map((part) => values[macro!.parameters.indexOf(part)] ?? part).join(''), 'function', statement);
  }
}

function macroOf(node: Node): { parameters: string[]; pasted: string[] } {
  const body = textOf(node.childForFieldName('value'));
  return {
    parameters: childrenOf(node.childForFieldName('parameters')!).map(({ text }) => text),
    pasted: [...body.matchAll(/\w+(?:\s*##\s*\w+)+(?=\s*\()/g)].map(([name]) => name),
  };
}

/** Whether a declarator declares a function, pointers to functions left aside. */
function isFunction(declarator: Node): boolean {
  let node: Node | null = declarator;
  while (node?.type === 'pointer_declarator') node = node.childForFieldName('declarator');
  return (
    node?.type === 'function_declarator' && node.childForFieldName('declarator')?.type !== 'parenthesized_declarator'
  );
}

const textOf = (node: Node | null): string => node?.text ?? '';
