// SPDX-License-Identifier: GPL-2.0-only
import { execFileSync } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { stripVTControlCharacters } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { cutToDefinition } from '../../src/upstream/cut.ts';
import { filterPatch, type PatchFile, parsePatch, patchText } from '../../src/upstream/patch.ts';
import { colourPaint, patchLines, plainPaint, statLines, wordLines } from '../../src/upstream/render.ts';
import { buildFixture } from './fixture.ts';
import { git } from './repository.ts';
import { scratch } from './scratch.ts';

const { folder, remove } = scratch();
let ids: Record<string, string>;
beforeAll(() => {
  ids = buildFixture(join(folder, 'origin'));
});
afterAll(remove);

const show = (...args: string[]): string =>
  git(join(folder, 'origin'), ['-c', 'core.quotePath=false', 'diff-tree', '-r', '-M', '--full-index', ...args]);

/** A diff with everything that git can put above the hunks, and lines that look like what they are not. */
const odd = `diff --git a/plain.c b/plain.c
index 1111111..2222222 100644
--- a/plain.c
+++ b/plain.c
@@ -1,4 +1,4 @@ int f(void)
 a
--- a/removed comment
+++ b/added comment
+diff --git a/x b/x
-@@ -1 +1 @@
 b
@@ -9 +9,2 @@
 c
+d
\\ No newline at end of file
diff --git a/old name.c b/new/name.c
similarity index 90%
rename from old name.c
rename to new/name.c
index 1111111..2222222 100644
--- a/old name.c\t
+++ b/new/name.c
@@ -0,0 +1 @@
+x
diff --git a/moved.c b/moved too.c
similarity index 100%
rename from moved.c
rename to moved too.c
diff --git a/run.sh b/run.sh
old mode 100644
new mode 100755
diff --git a/added b/added
new file mode 100644
index 0000000..2222222
--- /dev/null
+++ b/added
@@ -0,0 +1 @@
+x
diff --git a/gone b/gone
deleted file mode 100644
index 1111111..0000000
--- a/gone
+++ /dev/null
@@ -1 +0,0 @@
-x
diff --git a/pic ture.png b/pic ture.png
index 1111111..2222222 100644
Binary files a/pic ture.png and b/pic ture.png differ
diff --git "a/quo\\"te\\t\\303\\274.c" "b/quo\\"te\\t\\303\\274.c"
index 1111111..2222222 100644
--- "a/quo\\"te\\t\\303\\274.c"
+++ "b/quo\\"te\\t\\303\\274.c"
@@ -1 +1 @@
-a
+b
diff --git a/empty b/empty
new file mode 100644
index 0000000..e69de29
`;

describe('a diff taken apart', () => {
  it('has the paths of each file', () => {
    expect(parsePatch(odd).map(({ oldPath, newPath }) => [oldPath, newPath])).toEqual([
      ['plain.c', 'plain.c'],
      ['old name.c', 'new/name.c'],
      ['moved.c', 'moved too.c'],
      ['run.sh', 'run.sh'],
      [null, 'added'],
      ['gone', null],
      ['pic ture.png', 'pic ture.png'],
      ['quo"te\tü.c', 'quo"te\tü.c'],
      [null, 'empty'],
    ]);
    expect(parsePatch(odd).map(({ hunks }) => hunks.length)).toEqual([2, 1, 0, 0, 1, 1, 0, 1, 0]);
    expect(parsePatch(odd)[1]!.hunks[0]).toMatchObject({ oldStart: 1, newStart: 1 });
  });

  it('is the same text again', () => {
    expect(patchText(parsePatch(odd))).toBe(odd);
    expect(patchLines(parsePatch(odd), plainPaint)).toBe(odd);
    for (const id of Object.values(ids).slice(1)) {
      const text = show('-p', `${id}^`, id);
      expect(patchText(parsePatch(text))).toBe(text);
    }
    expect(patchText(parsePatch(''))).toBe('');
  });

  it('keeps a file for its old and for its new path', () => {
    expect(filterPatch(odd, ['moved.c'])).toContain('rename to moved too.c');
    expect(filterPatch(odd, ['new'])).toContain('rename from old name.c');
    expect(filterPatch(odd, ['new/name.c', 'add'])).not.toContain('b/added');
    expect(filterPatch(odd, [])).toBe(odd);
  });
});

describe('what is printed', () => {
  it('--stat is what git prints', () => {
    for (const id of Object.values(ids).slice(1)) {
      const files = parsePatch(show('-p', `${id}^`, id));
      expect(statLines(files, 200, plainPaint)).toBe(show('--stat=200', `${id}^`, id) || ' 0 files changed\n');
    }
  });

  it('--stat fits a terminal', () => {
    const line = {
      header: '@@ -0,0 +1,900 @@',
      oldStart: 1,
      newStart: 1,
      lines: Array.from({ length: 900 }, () => '+x'),
    };
    const file: PatchFile = { oldPath: 'a/b.c', newPath: 'a/b.c', header: [], hunks: [line] };
    const small: PatchFile = { ...file, newPath: 'c.c', hunks: [{ ...line, lines: ['-x'] }] };
    const [first, second, total] = statLines([file, small], 80, plainPaint).split('\n');
    expect(first!.length).toBeLessThanOrEqual(80);
    expect(second).toMatch(/^ \{a\/b.c => c.c\} *\| {3}1 -$| a\/b.c => c.c \| {3}1 -$/);
    expect(total).toBe(' 2 files changed, 900 insertions(+), 1 deletion(-)');
  });

  it('--word marks what changed inside the lines', () => {
    const text = `diff --git a/x.c b/x.c
--- a/x.c
+++ b/x.c
@@ -1,5 +1,5 @@
 int f(void)
 {
-	role.base = calc(vcpu);
+	role.cpu = calc(vcpu);
+	return 0;
-	gone();
 }
`;
    expect(wordLines(parsePatch(text), plainPaint).split('\n').slice(3)).toEqual([
      '@@ -1,5 +1,5 @@',
      'int f(void)',
      '{',
      '\trole.[-base-]{+cpu+} = calc(vcpu);',
      '{+\treturn 0;+}',
      '[-\tgone();-]',
      '}',
      '',
    ]);
  });

  it("colours are git's, and never the only mark", () => {
    const files = parsePatch(show('-p', `${ids.wp}^`, ids.wp!));
    const coloured = patchLines(files, colourPaint);
    const real = execFileSync(
      'git',
      ['diff-tree', '-r', '-p', '--full-index', '--color=always', `${ids.wp}^`, ids.wp!],
      {
        cwd: join(folder, 'origin'),
        encoding: 'utf8',
      },
    );
    expect(stripVTControlCharacters(coloured)).toBe(patchText(files));
    for (const line of ['\u001b[1m--- a/arch/x86/kvm/mmu.c\u001b[m', '\u001b[32m+']) {
      expect(coloured).toContain(line);
      expect(real).toContain(line);
    }
  });
});

describe('one definition of a diff', () => {
  const before = 'int a(void)\n{\n\treturn 1;\n}\n\nint b(void)\n{\n\treturn 2;\n}\n\nint c(void)\n{\n\treturn 3;\n}\n';
  const after = before
    .replace('return 1', 'return 10')
    .replace('return 2', 'return 20')
    .replace('return 3', 'return 30');
  const patch = `diff --git a/x.c b/x.c
--- a/x.c
+++ b/x.c
@@ -1,14 +1,14 @@
${before
  .trimEnd()
  .split('\n')
  .flatMap((line) => (line.startsWith('\treturn') ? [`-${line}`, `+${line.replace(';', '0;')}`] : [` ${line}`]))
  .join('\n')}
`;

  it('keeps the lines inside, with their numbers', async () => {
    const { files, defined } = await cutToDefinition(parsePatch(patch), 'b', async () => ({ before, after }));
    expect(defined).toBe(true);
    const text = `diff --git a/x.c b/x.c
--- a/x.c
+++ b/x.c
@@ -6,4 +6,4 @@
 int b(void)
 {
-	return 2;
+	return 20;
 }
`;
    expect(patchText(files)).toBe(text);
  });

  it('takes a definition that only one side has', async () => {
    const added = `diff --git a/y.c b/y.c
--- a/y.c
+++ b/y.c
@@ -1 +1,5 @@
 int x;
+
+int b(void)
+{
+}
`;
    const sides = { before: 'int x;\n', after: 'int x;\n\nint b(void)\n{\n}\n' };
    const { files } = await cutToDefinition(parsePatch(added), 'b', async () => sides);
    expect(files[0]!.hunks.map(({ header, lines }) => [header, ...lines])).toEqual([
      ['@@ -1,0 +3,3 @@', '+int b(void)', '+{', '+}'],
    ]);
  });

  it('takes the lines that were replaced by others inside', async () => {
    const renamed = `diff --git a/z.c b/z.c
--- a/z.c
+++ b/z.c
@@ -1,5 +1,5 @@
 int
-a(void)
+b(void)
 {
 \treturn 1;
 }
`;
    const sides = { before: 'int\na(void)\n{\n\treturn 1;\n}\n', after: 'int\nb(void)\n{\n\treturn 1;\n}\n' };
    const { files } = await cutToDefinition(parsePatch(renamed), 'b', async () => sides);
    expect(patchText(files)).toBe(renamed);
  });

  it('knows a definition that did not change, and one that is not there', async () => {
    const sides = { before, after };
    const part = patch.replace(/-\treturn 3;\n\+\treturn 30;/, ' \treturn 3;');
    expect(await cutToDefinition(parsePatch(part), 'c', async () => sides)).toEqual({ files: [], defined: true });
    expect(await cutToDefinition(parsePatch(part), 'd', async () => sides)).toEqual({ files: [], defined: false });
  });

  it('gives a patch that git applies', async () => {
    const { files } = await cutToDefinition(parsePatch(patch), 'c', async () => ({ before, after }));
    const work = join(folder, 'apply');
    mkdirSync(work);
    writeFileSync(join(work, 'x.c'), before);
    git(work, ['apply', '--unidiff-zero', '-'], patchText(files));
    expect(git(work, ['hash-object', 'x.c'])).toBe(
      git(work, ['hash-object', '--stdin'], before.replace('return 3', 'return 30')),
    );
  });
});
