import { LIMIT_TABLE, WINDOW_MS, type Cap, type LimitedEnvironment } from './limitTable.js';
import type { LimitTable } from './options.js';

/** One limit that was passed: how often, and the calls in a minute, hour or day that it allows. */
export interface Violation {
  path: string;
  item_id: string | null;
  limit: number;
  per: Cap['window'];
  code: string;
  count: number;
}

/** Calls of the last minute, hour or day, oldest first. */
class Window {
  private times: number[] = [];
  private start = 0;

  constructor(private readonly lengthMs: number) {}

  /** Do fewer than `calls` calls lie within the window that ends now? */
  hasRoom(now: number, calls: number): boolean {
    while (this.start < this.times.length && (this.times[this.start] ?? now) <= now - this.lengthMs)
      this.start += 1;
    if (this.start > 1_024 && this.start * 2 > this.times.length) {
      this.times = this.times.slice(this.start);
      this.start = 0;
    }
    return this.times.length - this.start < calls;
  }

  count(now: number): void {
    this.times.push(now);
  }
}

export interface LimitedCall {
  path: string;
  clientId: string;
  itemId: string | null;
  /** `/transactions/sync` from the empty cursor. */
  fromStart: boolean;
}

/**
 * The published rate limits over sliding windows of simulated time. They are counted always and enforced only when a table was
 * asked for; a call that is refused counts against none of them.
 */
export class RateLimits {
  private readonly environment: LimitedEnvironment;
  private readonly enforced: boolean;
  private readonly windows = new Map<string, Window>();
  private readonly passed = new Map<string, Violation>();

  constructor(mode: LimitTable) {
    this.environment = mode === 'off' ? 'production' : mode;
    this.enforced = mode !== 'off';
  }

  /** Counts a call; the code of the limit it is refused for, else `null`. */
  call(now: number, call: LimitedCall): string | null {
    const caps = (LIMIT_TABLE[call.path]?.[this.environment] ?? []).filter(
      (cap) => (cap.per === 'client' || call.itemId !== null) && (!cap.fromStart || call.fromStart),
    );
    const windows = caps.map((cap) => this.window(call, cap));
    const full = caps.filter((cap, index) => !windows[index]?.hasRoom(now, cap.calls));
    const refusedFor = this.enforced ? full[0] : undefined;
    for (const cap of refusedFor ? [refusedFor] : full) this.note(call, cap);
    if (refusedFor) return refusedFor.code;
    for (const window of windows) window.count(now);
    return null;
  }

  violations(): Violation[] {
    return [...this.passed.values()];
  }

  clear(): void {
    this.windows.clear();
    this.passed.clear();
  }

  private window({ path, clientId, itemId }: LimitedCall, cap: Cap): Window {
    const subject = cap.per === 'item' ? itemId : clientId;
    const key = [path, cap.per, subject, cap.window, cap.fromStart ?? false].join('|');
    const window = this.windows.get(key) ?? new Window(WINDOW_MS[cap.window]);
    this.windows.set(key, window);
    return window;
  }

  private note({ path, itemId }: LimitedCall, cap: Cap): void {
    const subject = cap.per === 'item' ? itemId : null;
    const key = [path, subject, cap.calls, cap.window].join('|');
    const known = this.passed.get(key);
    if (known) known.count += 1;
    else {
      const { calls: limit, window: per, code } = cap;
      this.passed.set(key, { path, item_id: subject, limit, per, code, count: 1 });
    }
  }
}
