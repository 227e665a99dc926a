/**
 * @typedef {object} Counted
 * @property {number} passed
 * @property {number} failed
 * @property {string[]} problems one line each
 */

/**
 * What the last line of a test run says. A run that proves nothing is never green: a jest that crashed, a test file that
 * did not load, and a run without any test each count as a failure.
 * @param {{ checks: readonly string[], failedChecks: readonly string[], jestCode: number, jestJson: string | undefined }} run
 * @returns {Counted}
 */
export function countResults({ checks, failedChecks, jestCode, jestJson }) {
  /** @type {Counted} */
  const counted = {
    passed: checks.length - failedChecks.length,
    failed: failedChecks.length,
    problems: failedChecks.map((name) => `npm run ${name}`),
  };
  const report = parse(jestJson);
  if (!report) {
    counted.failed += 1;
    counted.problems.push('jest ended without a report');
    return counted;
  }
  counted.passed += report.numPassedTests;
  counted.failed += report.numFailedTests;
  for (const suite of report.testResults) {
    const failures = suite.assertionResults.filter(({ status }) => status === 'failed');
    counted.problems.push(...failures.map(({ fullName }) => fullName));
    if (suite.status === 'failed' && failures.length === 0) {
      counted.failed += 1;
      counted.problems.push(`${suite.name} does not load`);
    }
  }
  if (report.numPassedTests + report.numFailedTests === 0) {
    counted.failed += 1;
    counted.problems.push('no test ran');
  }
  if (jestCode !== 0 && counted.failed === failedChecks.length) {
    counted.failed += 1;
    counted.problems.push(`jest ended with exit code ${jestCode}`);
  }
  return counted;
}

/**
 * @param {string | undefined} text
 * @returns {{ numPassedTests: number, numFailedTests: number, testResults: { name: string, status: string, assertionResults: { status: string, fullName: string }[] }[] } | undefined}
 */
function parse(text) {
  try {
    return JSON.parse(text ?? '');
  } catch {
    return undefined;
  }
}
