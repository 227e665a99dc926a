/**
 * @typedef {object} Counted
 * @property {number} passed
 * @property {number} failed
 * @property {string[]} problems one line each
 */
/**
 * @typedef {object} JestRun
 * @property {string} name as it is told of
 * @property {number} code exit code
 * @property {string | undefined} json the report, if there is one
 */

/**
 * What the last line of a test run says. A run that proves nothing is never green: a jest that crashed, a test file that
 * did not load, and a run without any test each count as a failure.
 * @param {{ checks: readonly string[], failedChecks: readonly string[], jestRuns: readonly JestRun[] }} run
 * @returns {Counted}
 */
export function countResults({ checks, failedChecks, jestRuns }) {
  const counts = jestRuns.map(countJest);
  const sum = (/** @type {'passed' | 'failed'} */ what) =>
    counts.reduce((total, count) => total + count[what], 0);
  return {
    passed: checks.length - failedChecks.length + sum('passed'),
    failed: failedChecks.length + sum('failed'),
    problems: [
      ...failedChecks.map((name) => `npm run ${name}`),
      ...counts.flatMap(({ problems }, place) =>
        problems.map((problem) => `${jestRuns[place]?.name}: ${problem}`),
      ),
    ],
  };
}

/** @param {JestRun} run @returns {Counted} */
function countJest({ code, json }) {
  const report = parse(json);
  if (!report) return { passed: 0, failed: 1, problems: ['ended without a report'] };
  /** @type {Counted} */
  const counted = { passed: report.numPassedTests, failed: report.numFailedTests, problems: [] };
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
  if (code !== 0 && counted.failed === 0) {
    counted.failed += 1;
    counted.problems.push(`ended with exit code ${code}`);
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
