// SPDX-License-Identifier: GPL-2.0-only
import * as z from 'zod';

const text = z.string().min(1);

const citedCommit = z.strictObject({
  sha: z.string().regex(/^[0-9a-f]{40}$/, 'a full sha of 40 hex digits'),
  subject: text,
  author: text.nullable(),
  release: z
    .string()
    .regex(/^v\d+(\.\d+){1,2}$/, 'a release such as v5.19')
    .nullable(),
  evidence: text,
});

/** A commit that ports or stories name and that is no milestone. */
export type CitedCommit = z.infer<typeof citedCommit>;

export const citedFile = z.strictObject({
  schema: z.literal('cited/1'),
  about: text,
  commits: z.array(citedCommit).min(1),
});
