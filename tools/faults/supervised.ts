import type { ChildProcess } from '../local/childProcess.js';
import { until } from './until.js';

const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

/** A process that is started anew whenever it ends, as a supervisor does. */
export class Supervised {
  private current: Promise<ChildProcess>;
  private stopping = false;
  private env: Record<string, string> = {};
  /** The one that runs has an environment of its own. */
  private isSpecial = false;
  /** It was told to end: whatever it ends by is our doing. */
  private isEnding = false;
  /** Nothing is started before this. */
  private gate: Promise<void> = Promise.resolve();

  /**
   * @param start resolves when the process is ready; `env` is on top of the usual one, for this start alone
   * @param onEnd hears the signal or the code with which it ended
   * @param onCrashPoint hears of the named point at which it has ended itself
   */
  constructor(
    private readonly start: (env: Record<string, string>) => Promise<ChildProcess>,
    private readonly onEnd: (how: string) => void,
    private readonly onCrashPoint: (point: string) => void,
  ) {
    this.current = this.begin();
  }

  /** Starts it as often as that takes: what it needs may be away. */
  private async begin(): Promise<ChildProcess> {
    let { env } = this;
    this.env = {};
    this.isEnding = false;
    for (;;) {
      this.isSpecial = Object.keys(env).length > 0;
      try {
        const child = await this.start(env);
        const point = env['SLUICE_CRASH_AT'];
        void child.exited.then(async ({ signal, code }) => {
          this.onEnd(String(signal ?? code));
          if (signal === 'SIGKILL' && point !== undefined && !this.isEnding && !this.stopping)
            this.onCrashPoint(point);
          await this.gate;
          if (!this.stopping) this.current = this.begin();
        });
        return child;
      } catch (error) {
        if (this.stopping) throw error;
        // It may have come to the point before it was ready: the next one is a usual one.
        const point = env['SLUICE_CRASH_AT'];
        if (point !== undefined && (error as Error).message.includes('SIGKILL')) {
          this.onCrashPoint(point);
          env = {};
        }
        await pause(500);
      }
    }
  }

  /** Resolves when it runs and is ready. */
  async ready(): Promise<void> {
    await until(async () => (await this.current).exit() === undefined);
  }

  /** As a crash; it is started `ms` later. */
  async kill(ms: number): Promise<void> {
    await this.end('SIGKILL', pause(ms));
  }

  /** Ends it with grace, and starts it with `env`. */
  async replace(env: Record<string, string> = {}): Promise<void> {
    this.env = env;
    await this.end('SIGTERM', Promise.resolve());
  }

  /** Resolves when the one with an environment of its own has ended, at the latest after `ms`. */
  async untilItEnds(ms: number): Promise<void> {
    const child = await this.current;
    if (this.isSpecial) await Promise.race([child.exited, pause(ms)]);
  }

  /** One that runs with an environment of its own makes room for a usual one. */
  async makeUsual(): Promise<void> {
    await this.ready();
    if (this.isSpecial) await this.replace();
    await this.ready();
  }

  private async end(signal: 'SIGKILL' | 'SIGTERM', gate: Promise<void>): Promise<void> {
    const child = await this.current;
    this.gate = gate;
    this.isEnding = child.exit() === undefined;
    await child.stop(signal, 35_000);
    await until(async () => (await this.current) !== child);
  }

  /** It stands still for `ms`, and knows nothing of it. */
  async pause(ms: number): Promise<void> {
    const child = await this.current;
    if (child.exit() !== undefined) return;
    process.kill(child.pid, 'SIGSTOP');
    await pause(ms);
    if (child.exit() === undefined) process.kill(child.pid, 'SIGCONT');
  }

  /** Nobody starts it any more; whoever launched it ends it. */
  leave(): void {
    this.stopping = true;
  }
}
