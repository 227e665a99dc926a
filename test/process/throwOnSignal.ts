import { foreignError } from './foreignError.js';

/** Preloaded into a process of ours: SIGUSR2 lets a foreign error go uncaught, SIGWINCH lets a promise reject with it. */
process.on('SIGUSR2', () => {
  setImmediate(() => {
    throw foreignError();
  });
});
process.on('SIGWINCH', () => void Promise.reject(foreignError()));
