/**
 * Preloaded into a process of ours: SIGUSR2 lets a foreign error go uncaught, SIGWINCH lets a promise reject with it; SIGURG
 * and SIGIO do so with nothing at all in place of the error. It is JavaScript, since threads of the process load it too, and before they know TypeScript.
 */
const { href } = new URL('foreignError.ts', import.meta.url);

process.on('SIGUSR2', async () => {
  const { foreignError } = await import(href);
  setImmediate(() => {
    throw foreignError();
  });
});
process.on('SIGWINCH', async () => {
  const { foreignError } = await import(href);
  throw foreignError();
});
process.on('SIGURG', () =>
  setImmediate(() => {
    throw undefined;
  }),
);
process.on('SIGIO', () => void Promise.reject());
