// SPDX-License-Identifier: GPL-2.0-only
import { simpleGit } from 'simple-git';
import { UserError } from '../errors.ts';

/** One run of git. */
export interface GitCall {
  /** Folder it runs in; must exist. */
  readonly cwd: string;
  readonly args: readonly string[];
  /** Text for its standard input. */
  readonly input?: string;
  /** GIT_* variables beside the ones every run gets. */
  readonly env?: Readonly<Record<string, string>>;
  /** Whether the user's own system and global configuration counts, as it must for safe.directory and for the network. */
  readonly userConfig?: boolean;
  /** Receives what git writes to standard error while it runs. */
  readonly onProgress?: (text: string) => void;
}

/** What came of it. A code other than 0 is an answer here, not an exception. */
export interface GitResult {
  readonly code: number;
  readonly stdout: Buffer;
  readonly stderr: string;
}

/** Set for every run: English messages, no question to the user, ids that mean what they say, paths that are no patterns. */
const always = {
  LC_ALL: 'C',
  GIT_TERMINAL_PROMPT: '0',
  GIT_NO_REPLACE_OBJECTS: '1',
  GIT_LITERAL_PATHSPECS: '1',
  GIT_OPTIONAL_LOCKS: '0',
} as const;

/** Set unless the run is meant to reach a remote: neither this git nor one that knows no GIT_NO_LAZY_FETCH may fetch. */
const offline = { GIT_NO_LAZY_FETCH: '1', GIT_ALLOW_PROTOCOL: 'none' } as const;

const noConfig = { GIT_CONFIG_NOSYSTEM: '1', GIT_CONFIG_GLOBAL: '/dev/null', GIT_ATTR_NOSYSTEM: '1' } as const;

/**
 * Runs git through simple-git. Every GIT_* variable of the environment stays out, so that GIT_DIR, GIT_EXTERNAL_DIFF
 * and the like change nothing. Throws UserError when there is no git to run.
 */
export async function runGit(call: GitCall): Promise<GitResult> {
  const env = { ...inherited(), ...always, ...offline, ...(call.userConfig ? {} : noConfig), ...call.env };
  let result: GitResult | undefined;
  let failure: Error | undefined;
  const git = simpleGit({
    baseDir: call.cwd,
    allowEnvironment: Object.keys(env),
    // Of these we use only what turns such things off, and --upload-pack with a text of ours.
    unsafe: {
      allowUnsafeConfigPaths: true,
      allowUnsafeFsMonitor: true,
      allowUnsafeHooksPath: true,
      allowUnsafePack: true,
    },
    // Nobody answers there: without a text of ours, standard input ends at once.
    input: () => call.input ?? '',
    errors: (error, { exitCode, stdOut, stdErr }) => {
      // Below 0 there was no process; a code above it is an answer, whatever simple-git makes of the message.
      if (error instanceof Error && exitCode < 0) failure = error;
      result = { code: exitCode, stdout: Buffer.concat(stdOut), stderr: Buffer.concat(stdErr).toString('utf8') };
      return undefined;
    },
  }).env(env);
  if (call.onProgress) {
    git.outputHandler((_command, _stdout, stderr) => stderr.on('data', (chunk) => call.onProgress!(String(chunk))));
  }
  await git.raw([...call.args]);
  if (failure) throw /^Error: spawn git ENOENT|^spawn git ENOENT/.test(failure.message) ? noGit() : failure;
  if (!result) throw new Error(`simple-git gave no result for git ${call.args[0]}`);
  return result;
}

/** The environment without git's own variables, and without those that name programs for git to start. */
function inherited(): Record<string, string> {
  const programs = new Set(['EDITOR', 'VISUAL', 'PAGER', 'PREFIX', 'SSH_ASKPASS']);
  const kept: Record<string, string> = {};
  for (const [name, value] of Object.entries(process.env)) {
    const upper = name.toUpperCase();
    if (value !== undefined && !upper.startsWith('GIT_') && !programs.has(upper)) kept[name] = value;
  }
  return kept;
}

function noGit(): UserError {
  return new UserError({
    place: 'git',
    found: 'no git on the PATH',
    expected: 'git, to read a clone',
    suggestion: '--capsule FILE, which needs no git (mmu-eras upstream pack writes one)',
  });
}
