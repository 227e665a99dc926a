import { randomBytes } from 'node:crypto';
import { mkdirSync, readFileSync, renameSync, rmSync, writeFileSync, linkSync } from 'node:fs';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { isSameProcess, processIdentity } from './processIdentity.mjs';
import { SetupFailure } from './setupFailure.mjs';

/**
 * Runs `work` while this process alone holds the lock file. A lock whose holder no longer runs is taken over, so a killed
 * install never blocks the next one.
 * @template T
 * @param {string} file
 * @param {{ waiting?: (holder: number) => void, timeoutMs: number }} options
 * @param {() => Promise<T>} work
 * @returns {Promise<T>}
 */
export async function withFileLock(file, options, work) {
  mkdirSync(path.dirname(file), { recursive: true });
  const mine = `${file}.${process.pid}.${randomBytes(4).toString('hex')}`;
  writeFileSync(mine, JSON.stringify({ pid: process.pid, identity: processIdentity(process.pid) }));
  const deadline = Date.now() + options.timeoutMs;
  let reported = false;
  try {
    for (;;) {
      try {
        linkSync(mine, file); // atomic, and the content is there from the first moment
        break;
      } catch (error) {
        if (/** @type {NodeJS.ErrnoException} */ (error).code !== 'EEXIST') throw error;
      }
      const holder = readHolder(file);
      if (holder && !isSameProcess(holder.pid, holder.identity)) {
        // Renamed first: of several waiters only one gets to remove this very lock.
        const dead = `${mine}.dead`;
        try {
          renameSync(file, dead);
          rmSync(dead, { force: true });
        } catch {
          // another waiter was first
        }
        continue;
      }
      if (holder && !reported) {
        reported = true;
        options.waiting?.(holder.pid);
      }
      if (Date.now() > deadline)
        throw new SetupFailure(`another process still holds ${file} after ${options.timeoutMs / 1000} s`);
      await sleep(200);
    }
  } finally {
    rmSync(mine, { force: true });
  }
  try {
    return await work();
  } finally {
    rmSync(file, { force: true });
  }
}

/** @param {string} file @returns {{ pid: number, identity: string } | undefined} */
function readHolder(file) {
  try {
    return JSON.parse(readFileSync(file, 'utf8'));
  } catch {
    return undefined;
  }
}
