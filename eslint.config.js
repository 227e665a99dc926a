import tseslint from 'typescript-eslint';

const nodeBuiltins = {
  group: ['node:*', 'fs', 'path', 'crypto', 'os', 'child_process'],
  message: 'No Node built-ins here (law 6).',
};

export default tseslint.config(
  {
    ignores: [
      'node_modules/',
      '.sluice/',
      'coverage/',
      'packages/*/dist/',
      'tools/bench/results/',
      'tools/faults/results/',
      'drizzle/migrations/',
      // No law of these is about tests.
      'test/',
      'packages/*/test/',
    ],
  },
  {
    // The laws of the rooms. What holds everywhere, and what needs types, is in .oxlintrc.json: it takes a tenth of the time.
    files: ['**/*.ts'],
    languageOptions: { parser: tseslint.parser },
  },
  {
    // Pure rooms: no clock but Temporal's, no environment, no I/O.
    files: ['domain/**/*.ts', 'workflows/**/*.ts'],
    rules: {
      'no-restricted-imports': ['error', { patterns: [nodeBuiltins] }],
      'no-restricted-globals': ['error', 'process', 'Buffer', 'fetch', 'setImmediate'],
    },
  },
  {
    files: ['domain/**/*.ts'],
    rules: {
      'no-restricted-properties': [
        'error',
        { object: 'Date', property: 'now', message: 'The domain has no clock: time is an argument.' },
        { object: 'Math', property: 'random', message: 'The domain has no dice: chance is an argument.' },
      ],
    },
  },
  {
    // The environment is read in one file per program (law 6).
    files: ['**/*.ts'],
    ignores: [
      'src/config.ts',
      'tools/local/environment.*',
      'packages/*/src/environment.ts',
      'tools/bench/environment.ts',
    ],
    rules: {
      'no-restricted-syntax': [
        'error',
        {
          selector: "MemberExpression[object.name='process'][property.name='env']",
          message: 'Read the environment in src/config.ts (law 6).',
        },
      ],
    },
  },
  {
    // All workflows of a worker share its modules (src/temporal/bundle.ts).
    files: ['domain/**/*.ts', 'workflows/**/*.ts'],
    rules: {
      'no-restricted-syntax': [
        'error',
        ...[
          'VariableDeclaration[kind!="const"]',
          'VariableDeclaration > VariableDeclarator[init.callee.name=/^(Weak)?(Map|Set)$/]:not([id.typeAnnotation.typeAnnotation.typeName.name=/^Readonly/])',
        ].map((state) => ({
          selector: `:matches(Program, Program > ExportNamedDeclaration) > ${state}`,
          message: 'No state in a module: all workflows of a worker share it.',
        })),
      ],
    },
  },
  {
    // A hole where the first row should be must not read as "there is none" (docs/decisions/0014).
    files: ['drizzle/**/*.ts'],
    rules: {
      'no-restricted-syntax': [
        'error',
        {
          selector:
            "VariableDeclarator[id.type='ArrayPattern'][init.type='AwaitExpression']:not([init.argument.callee.object.name='Promise'])",
          message: 'Ask for the first row by firstOf (drizzle/rows.ts).',
        },
        {
          selector: "MemberExpression[object.name='process'][property.name='env']",
          message: 'Read the environment in src/config.ts (law 6).',
        },
      ],
    },
  },
);
