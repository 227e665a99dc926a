import { setTimeout as sleep } from 'node:timers/promises';
import { launch, logTail, type ChildProcess, type Exit, type LaunchOptions } from './childProcess.js';
import type { Guard } from './guard.js';
import { SetupFailure } from './setupFailure.mjs';

/** How one process of the stack is started, known to be ready, and stopped. Starting it again gives the same service at the same address. */
export interface ServiceSpec {
  readonly name: string;
  /** Done before each start: mends what a killed predecessor left. */
  prepare?(): Promise<void>;
  readonly launch: LaunchOptions;
  /** Asks the service itself, over the network; false or a rejection mean "not yet". */
  isReady(): Promise<boolean>;
  readonly readyTimeoutMs: number;
  readonly stopSignal: NodeJS.Signals;
  readonly stopGraceMs: number;
}

export interface Service {
  readonly name: string;
  readonly pid: number;
  readonly logFile: string;
  readonly exited: Promise<Exit>;
  stop(): Promise<void>;
}

const POLL_MS = 40;

/** Starts the service and resolves when it answers; a process that dies before that is reported with its last log lines. */
export async function startService(spec: ServiceSpec, guard: Guard): Promise<Service> {
  await spec.prepare?.();
  const child = await launch(spec.launch);
  guard.add(child, spec.stopSignal);
  const stop = async (): Promise<void> => {
    await child.stop(spec.stopSignal, spec.stopGraceMs);
    guard.remove(child);
  };
  try {
    await waitUntilReady(spec, child);
  } catch (error) {
    await stop();
    throw error;
  }
  void child.exited.then(() => guard.remove(child));
  return { name: spec.name, pid: child.pid, logFile: child.logFile, exited: child.exited, stop };
}

async function waitUntilReady(spec: ServiceSpec, child: ChildProcess): Promise<void> {
  const deadline = Date.now() + spec.readyTimeoutMs;
  for (;;) {
    const exit = child.exit();
    if (exit) {
      throw new SetupFailure(
        `${spec.name} stopped while starting (${exit.signal ?? `exit ${exit.code}`}). Its log ${child.logFile} ends with:\n${logTail(child.logFile)}`,
      );
    }
    if (await spec.isReady().catch(() => false)) return;
    if (Date.now() > deadline) {
      throw new SetupFailure(
        `${spec.name} is not ready after ${spec.readyTimeoutMs / 1000} s. Its log ${child.logFile} ends with:\n${logTail(child.logFile)}`,
      );
    }
    await sleep(POLL_MS);
  }
}

/** GET that is ready when the answer is 200. Times out by itself. */
export async function answersOk(url: string, init: RequestInit = {}): Promise<boolean> {
  const response = await fetch(url, { ...init, signal: AbortSignal.timeout(3_000) });
  await response.arrayBuffer();
  return response.status === 200;
}
