import { createRequire } from 'node:module';

/** Arguments with which Node runs jest: the tests are ES modules. @param {readonly string[]} args @returns {string[]} */
export function jestCommand(args) {
  const jest = createRequire(import.meta.url).resolve('jest/bin/jest');
  return ['--experimental-vm-modules', '--no-warnings', jest, ...args];
}
