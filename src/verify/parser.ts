// SPDX-License-Identifier: GPL-2.0-only
import { createRequire } from 'node:module';
import type { Node, Parser } from 'web-tree-sitter';

let parser: Promise<Parser> | undefined;

/** Marks of the kernel that mean something to the compiler and nothing to us; the grammar takes them for names. */
const marks =
  /\b(?:__read_mostly|__ro_after_init|__always_inline|__maybe_unused|__must_check|__percpu|__user|__rcu|__weak|__used|__init|__exit|__cold|__pure|noinline|noinstr|asmlinkage)\b/g;

/**
 * Parses C with tree-sitter and hands the root node to `read`; the tree is freed afterwards, so `read` returns plain data.
 * Text that is no C gives a tree with ERROR nodes, never an exception. The parser (0.9 MB of WebAssembly, from two npm
 * packages, no network) is loaded by the first call.
 */
export async function parseC<T>(text: string, read: (root: Node) => T): Promise<T> {
  parser ??= loadParser();
  // Blanks of the same length keep every position.
  const plain = text.replace(marks, (mark) => ' '.repeat(mark.length));
  const tree = (await parser).parse(plain);
  if (!tree) throw new Error('tree-sitter gave no tree, though neither a timeout nor a cancel was set');
  try {
    return read(tree.rootNode);
  } finally {
    tree.delete();
  }
}

async function loadParser(): Promise<Parser> {
  const { Language, Parser: ParserOfC } = await import('web-tree-sitter');
  const { resolve } = createRequire(import.meta.url);
  // Told where it is: a bundle moves the JavaScript away from its WebAssembly.
  await ParserOfC.init({ locateFile: () => resolve('web-tree-sitter/web-tree-sitter.wasm') });
  const language = await Language.load(resolve('tree-sitter-c/tree-sitter-c.wasm'));
  const loaded = new ParserOfC();
  loaded.setLanguage(language);
  return loaded;
}

/** The children of a node that are no comments, without the holes that the type of the library allows. */
export const childrenOf = (node: Node): Node[] =>
  node.namedChildren.filter((child): child is Node => child !== null && child.type !== 'comment');

/** 1-based line of the first character of a node. */
export const firstLine = (node: Node): number => node.startPosition.row + 1;

/** 1-based line of the last character of a node; a preprocessor line ends with its own newline, which is not counted. */
export const lastLine = (node: Node): number =>
  node.endPosition.column === 0 && node.endPosition.row > node.startPosition.row
    ? node.endPosition.row
    : node.endPosition.row + 1;
