// SPDX-License-Identifier: GPL-2.0-only
/** Writes commits/story-figures.json anew: `npm run stories`. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { allStories } from '../../src/facts/index.ts';
import { commitsFolder } from '../../src/facts/load.ts';
import { storyFigures } from '../../src/replay/story-figures.ts';

writeFileSync(join(commitsFolder(), 'story-figures.json'), `${JSON.stringify(storyFigures(allStories()), null, 1)}\n`);
