export interface Counted {
  readonly passed: number;
  readonly failed: number;
  readonly problems: readonly string[];
}
export function countResults(run: {
  checks: readonly string[];
  failedChecks: readonly string[];
  jestCode: number;
  jestJson: string | undefined;
}): Counted;
