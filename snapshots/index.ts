// SPDX-License-Identifier: GPL-2.0-only
import type { Era } from '../src/era.ts';
import { era as baseRole } from './2008-12-base-role/index.ts';
import { era as baseRoleBefore } from './2008-12-base-role-before/index.ts';
import { era as roleUnion } from './2018-10-role-union/index.ts';
import { era as roleUnionBefore } from './2018-10-role-union-before/index.ts';
import { era as v4_20 } from './2018-12-v4.20/index.ts';
import { era as v5_10 } from './2020-12-v5.10/index.ts';
import { era as noUnloadV2 } from './2022-02-no-unload-v2/index.ts';
import { era as v5_17 } from './2022-02-v5.17/index.ts';
import { era as cpuRole } from './2022-04-cpu-role/index.ts';
import { era as cpuRoleParent } from './2022-04-cpu-role-parent/index.ts';
import { era as rootRole } from './2022-04-root-role/index.ts';
import { era as v5_19 } from './2022-07-v5.19/index.ts';
import { era as cr0wp } from './2023-03-cr0wp/index.ts';
import { era as v6_1 } from './2026-11-v6.1/index.ts';
import { era as v6_12 } from './2026-11-v6.12/index.ts';
import { era as v7_2 } from './2026-11-v7.2/index.ts';
import { era as v7_3 } from './2026-11-v7.3/index.ts';

/** Every port, in the order of history. */
export const eras: readonly Era[] = [
  baseRoleBefore,
  baseRole,
  roleUnionBefore,
  roleUnion,
  v4_20,
  v5_10,
  v5_17,
  noUnloadV2,
  cpuRoleParent,
  cpuRole,
  rootRole,
  v5_19,
  cr0wp,
  v6_1,
  v6_12,
  v7_2,
  v7_3,
];
