import { foreignError } from './foreignError.mjs';

/**
 * Preloaded into a process of ours: SIGUSR2 lets a foreign error go uncaught, SIGWINCH lets a promise reject with it; SIGURG
 * and SIGIO do so with nothing at all in place of the error. It is JavaScript: processes that know no TypeScript load it, and threads
 * before they know it.
 */
process.on('SIGUSR2', () =>
  setImmediate(() => {
    throw foreignError();
  }),
);
process.on('SIGWINCH', () => void Promise.reject(foreignError()));
process.on('SIGURG', () =>
  setImmediate(() => {
    throw undefined;
  }),
);
process.on('SIGIO', () => void Promise.reject());
