// One rule per law of docs/architecture.md. Each was broken once on purpose to see it fail (test/architecture.test.ts).
const anyRoom = '^(src|workflows|activities|api|drizzle|domain|packages|tools|test)/';
const npm = (names) => `^node_modules/(${names.join('|')})/`;
const builtIns = { dependencyTypes: ['core'] };

module.exports = {
  forbidden: [
    {
      name: 'law-1-domain-is-pure',
      comment: 'domain imports nothing outside itself but big.js.',
      severity: 'error',
      from: { path: '^domain/' },
      to: { pathNot: ['^domain/', npm(['big\\.js', '@types/big\\.js'])] },
    },
    {
      name: 'law-2-workflows',
      comment: 'workflows import @temporalio/workflow and common, the domain, and types of activities.',
      severity: 'error',
      from: { path: '^workflows/' },
      to: {
        pathNot: [
          '^workflows/',
          '^domain/',
          npm(['@temporalio/workflow', '@temporalio/common']),
          '^activities/',
        ],
      },
    },
    {
      name: 'law-2-workflows-take-only-types-of-activities',
      severity: 'error',
      from: { path: '^workflows/' },
      to: { path: '^activities/', dependencyTypesNot: ['type-only'] },
    },
    {
      name: 'law-3-activities',
      comment:
        'activities import @temporalio/activity and the domain; everything else reaches them as ports.',
      severity: 'error',
      from: { path: '^activities/' },
      to: {
        pathNot: ['^activities/', '^domain/', npm(['@temporalio/activity', '@temporalio/common'])],
        dependencyTypesNot: ['core'],
      },
    },
    {
      name: 'law-4-drizzle',
      comment: "drizzle imports drizzle's packages, postgres.js and the domain.",
      severity: 'error',
      from: { path: '^drizzle/' },
      to: {
        pathNot: ['^drizzle/', '^domain/', npm(['drizzle-orm', 'postgres'])],
        dependencyTypesNot: ['core'],
      },
    },
    {
      name: 'law-4-only-drizzle-writes-sql',
      severity: 'error',
      from: {
        path: '^(src|workflows|activities|api)/',
        pathNot: '^src/clients/postgres(Gate|Pooler)?\\.ts$',
      },
      to: { path: npm(['drizzle-orm', 'postgres']) },
    },
    {
      name: 'law-5-api',
      comment: "api imports Fastify's packages, zod with its provider, and the domain.",
      severity: 'error',
      from: { path: '^api/' },
      to: {
        pathNot: [
          '^api/',
          '^domain/',
          npm([
            'fastify',
            'fastify-plugin',
            'fastify-type-provider-zod',
            '@fastify/[^/]+',
            'zod',
            'prom-client',
            'pino',
          ]),
        ],
        dependencyTypesNot: ['core'],
      },
    },
    {
      name: 'law-6-adapters',
      comment:
        'clients and temporal implement ports; they know no room but the domain (the gateway also the contract).',
      severity: 'error',
      from: { path: '^src/(clients|temporal)/', pathNot: '^src/temporal/gateway\\.ts$' },
      to: { path: anyRoom, pathNot: '^(domain|src/(clients|temporal))/' },
    },
    {
      name: 'law-6-gateway',
      severity: 'error',
      from: { path: '^src/temporal/gateway\\.ts$' },
      to: { path: anyRoom, pathNot: ['^(domain|src/temporal)/', '^workflows/contract\\.ts$'] },
    },
    {
      name: 'law-6-only-entry-points-join-rooms',
      severity: 'error',
      from: {
        path: '^src/[^/]+\\.ts$',
        pathNot:
          '^src/(server|worker|listener|provision|rewrap|webhookAddress|restored|listEnded|reapply|openapi|bundle)\\.ts$',
      },
      to: { path: '^(workflows|activities|api|drizzle|packages|tools|test)/|^src/temporal/' },
    },
    {
      name: 'only-workers-load-the-worker-sdk',
      comment: 'It costs every other process half a second at its start, and memory.',
      severity: 'error',
      from: {
        path: '^src/',
        pathNot:
          '^src/(worker|workerRuntime|temporalLogger|temporal/(workers|connectWorker|hungConnection|bundle))\\.ts$',
      },
      to: { path: npm(['@temporalio/worker']) },
    },
    {
      name: 'law-11-simulator-stands-alone',
      severity: 'error',
      from: { path: '^packages/plaid-simulator/' },
      to: { path: anyRoom, pathNot: '^packages/plaid-simulator/' },
    },
    {
      name: 'law-11-nothing-imports-the-simulator',
      severity: 'error',
      from: { pathNot: '^packages/plaid-simulator/' },
      to: { path: '^packages/plaid-simulator/' },
    },
    {
      name: 'no-circular',
      comment: 'Types make circles too: words that two files share get a file of their own.',
      severity: 'error',
      from: {},
      to: { circular: true },
    },
    {
      name: 'no-unresolvable',
      comment: "A package's command imports what its build makes.",
      severity: 'error',
      from: { pathNot: '^packages/[^/]+/bin/' },
      to: { couldNotResolve: true },
    },
    {
      name: 'nothing-imports-tests',
      severity: 'error',
      from: { pathNot: '^(test|tools/bench)/' },
      to: { path: '^test/' },
    },
  ],
  options: {
    doNotFollow: { path: 'node_modules' },
    exclude: { path: '^packages/[^/]+/dist/' },
    tsPreCompilationDeps: true,
    tsConfig: { fileName: 'tsconfig.json' },
    enhancedResolveOptions: {
      exportsFields: ['exports'],
      conditionNames: ['import', 'require', 'node', 'default', 'types'],
      extensions: ['.ts', '.mts', '.d.mts', '.js', '.mjs', '.json'],
    },
  },
};
