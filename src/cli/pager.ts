// SPDX-License-Identifier: GPL-2.0-only
import { spawn } from 'node:child_process';
import { runGit } from '../upstream/git.ts';

/**
 * Writes a text to standard output: through the user's pager when that is a terminal, as git does. The pager is GIT_PAGER,
 * core.pager of the user's own configuration, PAGER, or less; an empty one or `cat` is none.
 */
export async function page(text: string): Promise<void> {
  const pager = process.stdout.isTTY ? await userPager() : '';
  if (pager === '' || pager === 'cat') {
    process.stdout.write(text);
    return;
  }
  // git's defaults for less and lv: colours pass, a short text needs no key press.
  const env = { LESS: 'FRX', LV: '-c', ...process.env };
  const child = spawn('sh', ['-c', pager], { stdio: ['pipe', 'inherit', 'inherit'], env });
  await new Promise<void>((done, failed) => {
    child.on('error', failed);
    child.on('close', () => done());
    // A reader that leaves before the end is no failure.
    child.stdin.on('error', () => {});
    child.stdin.end(text);
  });
}

async function userPager(): Promise<string> {
  return process.env.GIT_PAGER ?? (await configuredPager()) ?? process.env.PAGER ?? 'less';
}

/** core.pager of the user and the system; the root folder keeps the configuration of a repository out. */
async function configuredPager(): Promise<string | undefined> {
  try {
    const { code, stdout } = await runGit({ cwd: '/', args: ['config', '--get', 'core.pager'], userConfig: true });
    return code === 0 ? stdout.toString('utf8').trimEnd() : undefined;
  } catch {
    // Without git there is no such configuration.
    return undefined;
  }
}
