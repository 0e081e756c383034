// SPDX-License-Identifier: GPL-2.0-only
/** Import boundaries. Each rule says why it exists; `scripts/boundaries.mjs` also checks that enough modules were seen. */
export default {
  forbidden: [
    {
      name: 'no-circular',
      comment: 'A cycle means two files have one reason to change.',
      severity: 'error',
      from: { path: '^(src|test)/' },
      to: { circular: true, viaOnly: { dependencyTypesNot: ['type-only'] } },
    },
    {
      name: 'machine-knows-no-era',
      comment: 'What is true for every kernel must not depend on what one kernel did.',
      severity: 'error',
      from: { path: '^src/sim/' },
      to: { path: '^(snapshots/|src/era\\.ts|src/(replay|trace|conform|facts|report|workload|cli)/)' },
    },
    {
      name: 'ports-are-closed',
      comment: 'A port is read beside the C of one commit; an import from another port would hide a difference.',
      severity: 'error',
      from: { path: '^snapshots/([^/]+)/' },
      to: { path: '^snapshots/', pathNot: '^snapshots/$1/' },
    },
    {
      name: 'ports-see-the-seam-only',
      comment: 'A port uses the seam, the layouts and the machine, nothing that presents or drives it.',
      severity: 'error',
      from: { path: '^snapshots/[^/]+/' },
      to: { path: '^src/', pathNot: '^src/(era\\.ts|role/|sim/)' },
    },
    {
      name: 'layouts-stand-alone',
      comment: 'Bit layouts are arithmetic; they know neither machine nor era.',
      severity: 'error',
      from: { path: '^src/role/' },
      to: { path: '^(src/(?!role/)|snapshots/)' },
    },
    {
      name: 'reporters-compute-nothing',
      comment: 'A reporter maps a finished model to text, so it has no way to run or load anything.',
      severity: 'error',
      from: { path: '^src/report/' },
      to: { path: '^(snapshots/|src/(sim|workload|cli|conform)/)', dependencyTypesNot: ['type-only'] },
    },
    {
      name: 'replay-knows-no-traces',
      comment: 'Traces use what workloads are replayed and recorded with; the other way would be a circle.',
      severity: 'error',
      from: { path: '^src/(replay|workload|facts)/' },
      to: { path: '^src/trace/' },
    },
    {
      name: 'nothing-imports-commands',
      comment: 'Commands are the outermost layer.',
      severity: 'error',
      from: { path: '^(src/(?!cli/)|snapshots/)' },
      to: { path: '^src/cli/' },
    },
    {
      name: 'product-imports-no-tests',
      comment: 'The product must run without its tests.',
      severity: 'error',
      from: { path: '^(src|snapshots)/' },
      to: { path: '^test/' },
    },
  ],
  options: {
    tsConfig: { fileName: 'tsconfig.json' },
    tsPreCompilationDeps: true,
    doNotFollow: { path: 'node_modules' },
    enhancedResolveOptions: { extensions: ['.ts', '.mjs', '.js', '.json'] },
  },
};
