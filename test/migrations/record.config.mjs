import { common } from '../../jest.config.js';

/** The tests of the stores: between them they send every statement that the stores know. */
export default {
  ...common,
  rootDir: '../..',
  maxWorkers: 2,
  testTimeout: 300_000,
  testMatch: ['<rootDir>/test/drizzle/**/*.test.ts'],
  testPathIgnorePatterns: [
    '/node_modules/',
    '/test/drizzle/migrate\\.test\\.ts$',
    '/test/drizzle/failures\\.test\\.ts$',
  ],
  globalSetup: '<rootDir>/test/migrations/recordSetup.mjs',
  globalTeardown: '<rootDir>/test/migrations/recordTeardown.mjs',
};
