import { countResults } from '../../../tools/local/testCount.mjs';

const checks = ['lint:types', 'lint:code'];
const report = (over: object) =>
  JSON.stringify({ numPassedTests: 0, numFailedTests: 0, testResults: [], ...over });
const counted = (code: number, json: string | undefined, failedChecks: string[] = []) =>
  countResults({ checks, failedChecks, jestRuns: [{ name: 'jest', code, json }] });

describe('the last line of a test run', () => {
  it('is never green when jest crashed before it could report', () => {
    expect(counted(1, undefined)).toEqual({
      passed: 2,
      failed: 1,
      problems: ['jest: ended without a report'],
    });
  });

  it('counts a test file that does not load as a failure', () => {
    const json = report({
      numPassedTests: 3,
      testResults: [{ name: 'broken.test.ts', status: 'failed', assertionResults: [] }],
    });
    expect(counted(1, json)).toEqual({
      passed: 5,
      failed: 1,
      problems: ['jest: broken.test.ts does not load'],
    });
  });

  it('counts a run without tests as a failure', () => {
    expect(counted(0, report({}))).toMatchObject({ failed: 1, problems: ['jest: no test ran'] });
  });

  it('believes the exit code of jest over its counts (a global teardown that fails)', () => {
    expect(counted(1, report({ numPassedTests: 1 }))).toMatchObject({
      passed: 3,
      failed: 1,
      problems: ['jest: ended with exit code 1'],
    });
    // A static check that has failed is no excuse for jest.
    expect(counted(1, report({ numPassedTests: 1 }), ['lint:code'])).toMatchObject({ passed: 2, failed: 2 });
  });

  const failing = report({
    numPassedTests: 7,
    numFailedTests: 1,
    testResults: [
      { name: 'a.test.ts', status: 'failed', assertionResults: [{ status: 'failed', fullName: 'a b' }] },
    ],
  });

  it('adds static checks and tests and names what failed', () => {
    expect(counted(1, failing, ['lint:code'])).toEqual({
      passed: 8,
      failed: 2,
      problems: ['npm run lint:code', 'jest: a b'],
    });
  });

  it('adds the runs on other releases of Node, and says on which one a test failed', () => {
    const jestRuns = [
      { name: 'jest', code: 0, json: report({ numPassedTests: 10 }) },
      { name: 'Node 22', code: 1, json: failing },
      { name: 'Node 24', code: 1, json: undefined },
    ];
    expect(countResults({ checks, failedChecks: [], jestRuns })).toEqual({
      passed: 19,
      failed: 2,
      problems: ['Node 22: a b', 'Node 24: ended without a report'],
    });
  });
});
