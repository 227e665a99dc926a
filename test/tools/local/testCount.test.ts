import { countResults } from '../../../tools/local/testCount.mjs';

const checks = ['lint:types', 'lint:code'];
const report = (over: object) =>
  JSON.stringify({ numPassedTests: 0, numFailedTests: 0, testResults: [], ...over });

describe('the last line of a test run', () => {
  it('is never green when jest crashed before it could report', () => {
    const counted = countResults({ checks, failedChecks: [], jestCode: 1, jestJson: undefined });
    expect(counted).toEqual({ passed: 2, failed: 1, problems: ['jest ended without a report'] });
  });

  it('counts a test file that does not load as a failure', () => {
    const jestJson = report({
      numPassedTests: 3,
      testResults: [{ name: 'broken.test.ts', status: 'failed', assertionResults: [] }],
    });
    const counted = countResults({ checks, failedChecks: [], jestCode: 1, jestJson });
    expect(counted).toEqual({ passed: 5, failed: 1, problems: ['broken.test.ts does not load'] });
  });

  it('counts a run without tests as a failure', () => {
    const counted = countResults({ checks, failedChecks: [], jestCode: 0, jestJson: report({}) });
    expect(counted).toMatchObject({ failed: 1, problems: ['no test ran'] });
  });

  it('believes the exit code of jest over its counts (a global teardown that fails)', () => {
    const jestJson = report({ numPassedTests: 1 });
    const counted = countResults({ checks, failedChecks: [], jestCode: 1, jestJson });
    expect(counted).toMatchObject({ passed: 3, failed: 1, problems: ['jest ended with exit code 1'] });
  });

  it('adds static checks and tests and names what failed', () => {
    const jestJson = report({
      numPassedTests: 7,
      numFailedTests: 1,
      testResults: [
        { name: 'a.test.ts', status: 'failed', assertionResults: [{ status: 'failed', fullName: 'a b' }] },
      ],
    });
    const counted = countResults({ checks, failedChecks: ['lint:code'], jestCode: 1, jestJson });
    expect(counted).toEqual({ passed: 8, failed: 2, problems: ['npm run lint:code', 'a b'] });
  });
});
