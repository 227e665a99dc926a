import { statSync } from 'node:fs';

/**
 * Where tests wait most, the longest first, and what takes long though its file is small. On a fresh machine jest knows no durations and goes
 * by the size of files.
 */
const LONG = [
  'test/e2e/faults',
  'test/e2e/crash',
  'test/e2e/',
  'test/process/',
  'test/tools/local/start',
  'test/workflows/',
  'test/domain/item/simulation',
  'packages/plaid-simulator/test/p',
  'test/clients/silentHosts',
  'test/temporal/',
  'test/activities/lateModel',
  'test/replay/',
  'test/migrations/',
];

/** The order of test files: what takes minutes begins first, so that the end of a run is not one worker's alone. */
export default class LongestFirst {
  sort(tests) {
    return [...tests].sort((a, b) => rank(a) - rank(b) || sizeOf(b) - sizeOf(a));
  }

  allFailedTests(tests) {
    return tests;
  }

  cacheResults() {}
}

const rank = ({ path }) => {
  const place = LONG.findIndex((long) => path.includes(long));
  return place === -1 ? LONG.length : place;
};
const sizeOf = ({ path }) => statSync(path).size;
