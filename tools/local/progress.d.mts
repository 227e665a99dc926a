/** Says that a long step runs, and again every few seconds for as long as it does. */
export function showProgress<T>(
  title: string,
  work: (detail: (text: string) => void) => Promise<T>,
  options?: { everyMs?: number; write?: (line: string) => void },
): Promise<T>;
/** One line to stderr. */
export function say(line: string): void;
