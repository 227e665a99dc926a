import { common } from '../../jest.config.js';

export default {
  ...common,
  displayName: 'plaid-simulator',
  testMatch: ['<rootDir>/test/**/*.test.ts'],
  testTimeout: 300_000,
};
