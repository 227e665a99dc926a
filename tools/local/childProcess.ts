import { spawn } from 'node:child_process';
import { closeSync, mkdirSync, openSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { machineEnvironment } from './environment.mjs';
import { SetupFailure } from './setupFailure.mjs';

export interface LaunchOptions {
  readonly name: string;
  readonly command: string;
  readonly args: readonly string[];
  /** Whole environment beside PATH, HOME and the like: nothing else of the parent's is passed on. */
  readonly env?: Readonly<Record<string, string>>;
  readonly cwd?: string;
  /** Receives stdout and stderr, appended. */
  readonly logFile: string;
  readonly user?: { readonly uid: number; readonly gid: number } | undefined;
}

export interface Exit {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}

export interface ChildProcess {
  readonly name: string;
  readonly pid: number;
  readonly logFile: string;
  /** Settles once, when the process is gone; never rejects. */
  readonly exited: Promise<Exit>;
  /** undefined while it runs */
  exit(): Exit | undefined;
  /** Ends it with `signal`, after `graceMs` with SIGKILL; resolves when it is gone. */
  stop(signal: NodeJS.Signals, graceMs: number): Promise<Exit>;
}

/**
 * Starts a process in a session of its own: a Ctrl-C in the terminal reaches the stack alone, which then stops its
 * processes in the order that loses nothing. Its output goes straight to a file, so that a dead parent breaks no pipe.
 */
export async function launch(options: LaunchOptions): Promise<ChildProcess> {
  mkdirSync(path.dirname(options.logFile), { recursive: true });
  const log = openSync(options.logFile, 'a');
  try {
    const child = spawn(options.command, [...options.args], {
      cwd: options.cwd ?? path.dirname(options.logFile),
      env: { ...machineEnvironment, ...options.env },
      stdio: ['ignore', log, log],
      detached: true,
      ...options.user,
    });
    let gone: Exit | undefined;
    const exited = new Promise<Exit>((resolve) => {
      child.once('exit', (code, signal) => resolve((gone = { code, signal })));
    });
    await new Promise<void>((resolve, reject) => {
      child.once('spawn', resolve);
      child.once('error', (error: NodeJS.ErrnoException) =>
        reject(new SetupFailure(`${options.name} does not start: ${error.code ?? error.name}`)),
      );
    });
    const { pid } = child;
    if (pid === undefined) throw new Error(`${options.name} has no pid`);
    return {
      name: options.name,
      pid,
      logFile: options.logFile,
      exited,
      exit: () => gone,
      stop: async (signal, graceMs) => {
        if (gone) return gone;
        child.kill(signal);
        const timer = setTimeout(() => child.kill('SIGKILL'), graceMs);
        try {
          return await exited;
        } finally {
          clearTimeout(timer);
        }
      },
    };
  } finally {
    closeSync(log);
  }
}

/** The last lines that a process wrote, for a message that says why it died. */
export function logTail(logFile: string, lines = 8): string {
  try {
    return readFileSync(logFile, 'utf8').trimEnd().split('\n').slice(-lines).join('\n');
  } catch {
    return '';
  }
}
