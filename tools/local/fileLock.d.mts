/** Runs `work` while this process alone holds the lock file; a dead holder's lock is taken over. */
export function withFileLock<T>(
  file: string,
  options: { waiting?: (holder: number) => void; timeoutMs: number },
  work: () => Promise<T>,
): Promise<T>;
