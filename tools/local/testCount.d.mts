export interface Counted {
  readonly passed: number;
  readonly failed: number;
  readonly problems: readonly string[];
}
export interface JestRun {
  /** as it is told of */
  readonly name: string;
  /** exit code */
  readonly code: number;
  /** the report, if there is one */
  readonly json: string | undefined;
}
export function countResults(run: {
  checks: readonly string[];
  failedChecks: readonly string[];
  jestRuns: readonly JestRun[];
}): Counted;
