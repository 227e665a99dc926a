import { fileURLToPath } from 'node:url';

// Tests run as ES modules, the way the program itself runs: jose and other dependencies are ESM only.
export const common = {
  testEnvironment: fileURLToPath(new URL('test/stack/oneRealmEnvironment.mjs', import.meta.url)),
  runtime: fileURLToPath(new URL('test/stack/sharedRuntime.mjs', import.meta.url)),
  extensionsToTreatAsEsm: ['.ts'],
  transform: {
    '^.+\\.ts$': [
      '@swc/jest',
      {
        jsc: { parser: { syntax: 'typescript', decorators: false }, target: 'es2022' },
        module: { type: 'es6' },
      },
    ],
  },
};

export default {
  // Of the time of the longest files most is waiting: two cores are busy with four of them.
  maxWorkers: 4,
  testSequencer: '<rootDir>/test/stack/longestFirst.mjs',
  testTimeout: 300_000,
  projects: [
    {
      ...common,
      displayName: 'sluice',
      testMatch: ['<rootDir>/test/**/*.test.ts'],
      globalSetup: '<rootDir>/test/stack/globalSetup.mjs',
      globalTeardown: '<rootDir>/test/stack/globalTeardown.mjs',
    },
    '<rootDir>/packages/plaid-simulator',
  ],
};
