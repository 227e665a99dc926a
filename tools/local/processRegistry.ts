import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { readJsonFile, writeFileAtomic } from './atomicFile.js';
import { withFileLock } from './fileLock.mjs';
import { startGuard, type Guard } from './guard.js';
import { isSameProcess, processIdentity } from './processIdentity.mjs';
import { SetupFailure } from './setupFailure.mjs';

interface KnownProcess {
  readonly pid: number;
  readonly identity: string;
  readonly signal?: NodeJS.Signals;
}

interface Record_ {
  readonly stack: KnownProcess;
  readonly children: readonly KnownProcess[];
}

const END_GRACE_MS = 20_000;

/**
 * Makes this process the only stack on `dataDir` and keeps the list of its processes in `processes.json`. Refuses while
 * another stack runs there; ends what a killed one left. Beside the list runs a guard (guard.ts), for the time after our own death.
 */
export async function openProcessRegistry(dataDir: string, scratchDir?: string): Promise<Guard> {
  const file = path.join(dataDir, 'processes.json');
  const children = new Map<number, KnownProcess>();
  const self = { pid: process.pid, identity: processIdentity(process.pid) ?? '' };
  const save = (): void => {
    const record: Record_ = { stack: self, children: [...children.values()] };
    writeFileAtomic(file, JSON.stringify(record, null, 2));
  };
  await withFileLock(path.join(dataDir, 'processes.lock'), { timeoutMs: 60_000 }, async () => {
    const before = parse(readJsonFile(file));
    if (before && before.stack.pid !== self.pid && isSameProcess(before.stack.pid, before.stack.identity)) {
      throw new SetupFailure(
        `a stack already runs on ${dataDir} (process ${before.stack.pid}): stop it, or take another folder with \`-- --data-dir DIR --free-ports\``,
      );
    }
    await endLeftovers(before?.children ?? []);
    save();
  });
  const guard = await startGuard(scratchDir);
  return {
    add: (child, signal) => {
      guard.add(child, signal);
      const identity = processIdentity(child.pid);
      if (identity) children.set(child.pid, { pid: child.pid, identity, signal });
      save();
    },
    remove: (child) => {
      guard.remove(child);
      if (children.delete(child.pid)) save();
    },
    close: () => guard.close(),
  };
}

/** Ends the processes of a stack that was killed; by identity, because their pids may be other programs by now. */
async function endLeftovers(processes: readonly KnownProcess[]): Promise<void> {
  const alive = (): KnownProcess[] => processes.filter((known) => isSameProcess(known.pid, known.identity));
  for (const known of alive()) kill(known.pid, known.signal ?? 'SIGTERM');
  const deadline = Date.now() + END_GRACE_MS;
  while (alive().length > 0 && Date.now() < deadline) await sleep(50);
  for (const known of alive()) kill(known.pid, 'SIGKILL');
  while (alive().length > 0 && Date.now() < deadline + 2_000) await sleep(50);
}

function kill(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(pid, signal);
  } catch {
    // it ended in the meantime
  }
}

function parse(value: unknown): Record_ | undefined {
  const record = value as Partial<Record_> | undefined;
  return record?.stack && Array.isArray(record.children) ? (record as Record_) : undefined;
}
