// SPDX-License-Identifier: GPL-2.0-only

/**
 * Exit codes of every command: 0 fine or the same, 1 a difference was found, 2 it could not run; 130 and 143 when SIGINT or
 * SIGTERM ended it, as shells have it.
 */
export const exit = { ok: 0, differs: 1, failed: 2, interrupted: 130, terminated: 143 } as const;

export type ExitCode = (typeof exit)[keyof typeof exit];
