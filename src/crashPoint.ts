/**
 * Named places where a test may kill this process, as `kill -9` would: nothing is flushed, nothing is closed.
 * `spec` is `NAME` or `NAME:n` (the n-th passing); the configuration refuses it in production.
 */
export function createCrashPoint(spec: string | undefined): (name: string) => void {
  if (spec === undefined) return () => undefined;
  const [wanted, count] = spec.split(':');
  let left = Number(count ?? 1);
  return (name) => {
    if (name !== wanted) return;
    left -= 1;
    if (left === 0) process.kill(process.pid, 'SIGKILL');
  };
}
