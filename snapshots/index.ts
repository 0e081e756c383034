// SPDX-License-Identifier: GPL-2.0-only
import type { Era } from '../src/era.ts';
import { era as baseRole } from './2008-12-base-role/index.ts';
import { era as baseRoleBefore } from './2008-12-base-role-before/index.ts';
import { era as noUnloadV2 } from './2022-02-no-unload-v2/index.ts';
import { era as v5_17 } from './2022-02-v5.17/index.ts';
import { era as cpuRole } from './2022-04-cpu-role/index.ts';
import { era as cpuRoleParent } from './2022-04-cpu-role-parent/index.ts';
import { era as rootRole } from './2022-04-root-role/index.ts';
import { era as cr0wp } from './2023-03-cr0wp/index.ts';

/** Every port, in the order of history. */
export const eras: readonly Era[] = [
  baseRoleBefore,
  baseRole,
  v5_17,
  noUnloadV2,
  cpuRoleParent,
  cpuRole,
  rootRole,
  cr0wp,
];
