import { MINUTE_MS } from './calendar.js';
import type { LimitTable } from './options.js';

/** Calls a minute; `null`: no published figure. */
interface Limit {
  item: number | null;
  client: number | null;
  code: string;
  clientCode?: string;
  /** A second cap per client on calls that start from the empty cursor. */
  fromStart?: number;
}

/** Plaid's published default limits (documentation of 2026; the stricter figure where two are published). */
const TABLES: Record<'production' | 'sandbox', Record<string, Limit>> = {
  production: {
    '/transactions/get': { item: 30, client: 20_000, code: 'TRANSACTIONS_LIMIT' },
    '/transactions/sync': { item: 50, client: 2_500, code: 'TRANSACTIONS_SYNC_LIMIT', fromStart: 500 },
    '/transactions/refresh': { item: 2, client: 100, code: 'TRANSACTIONS_REFRESH_LIMIT' },
    '/accounts/get': { item: 15, client: 15_000, code: 'ACCOUNTS_LIMIT' },
    '/accounts/balance/get': {
      item: 5,
      client: 1_200,
      code: 'BALANCE_LIMIT',
      clientCode: 'ACCOUNTS_BALANCE_GET_LIMIT',
    },
    '/auth/get': { item: 15, client: 12_000, code: 'AUTH_LIMIT' },
    '/identity/get': { item: 15, client: 2_000, code: 'IDENTITY_LIMIT' },
    '/item/get': { item: 15, client: 5_000, code: 'ITEM_GET_LIMIT' },
    '/item/remove': { item: 20, client: 2_000, code: 'RATE_LIMIT' },
    '/item/public_token/exchange': { item: null, client: 12_000, code: 'RATE_LIMIT' },
    '/link/token/create': { item: null, client: 20_000, code: 'RATE_LIMIT' },
    '/institutions/get': { item: null, client: 25, code: 'INSTITUTIONS_GET_LIMIT' },
    '/institutions/get_by_id': { item: null, client: 400, code: 'INSTITUTIONS_GET_BY_ID_LIMIT' },
  },
  sandbox: {
    '/transactions/get': { item: 80, client: 1_000, code: 'TRANSACTIONS_LIMIT' },
    '/transactions/sync': { item: 50, client: 1_000, code: 'TRANSACTIONS_SYNC_LIMIT' },
    '/transactions/refresh': { item: 2, client: 100, code: 'TRANSACTIONS_REFRESH_LIMIT' },
    '/accounts/get': { item: 100, client: 5_000, code: 'ACCOUNTS_LIMIT' },
    '/accounts/balance/get': {
      item: 25,
      client: 100,
      code: 'BALANCE_LIMIT',
      clientCode: 'ACCOUNTS_BALANCE_GET_LIMIT',
    },
    '/auth/get': { item: 100, client: 500, code: 'AUTH_LIMIT' },
    '/identity/get': { item: 100, client: 1_000, code: 'IDENTITY_LIMIT' },
    '/item/get': { item: 40, client: 5_000, code: 'ITEM_GET_LIMIT' },
    '/item/remove': { item: 100, client: 500, code: 'RATE_LIMIT' },
    '/institutions/get': { item: null, client: 10, code: 'INSTITUTIONS_GET_LIMIT' },
    '/institutions/get_by_id': { item: null, client: 400, code: 'INSTITUTIONS_GET_BY_ID_LIMIT' },
    '/sandbox/transactions/create': { item: 2, client: 50, code: 'SANDBOX_TRANSACTIONS_CREATE_LIMIT' },
  },
};

/** One limit that was passed: how often, and the calls a minute it allows. */
export interface Violation {
  path: string;
  item_id: string | null;
  limit: number;
  code: string;
  count: number;
}

/** Calls of the last minute, oldest first. */
class Window {
  private times: number[] = [];
  private start = 0;

  /** Counts a call unless `limit` calls lie within the minute before it; `false`: they do. */
  admits(now: number, limit: number, count: boolean): boolean {
    while (this.start < this.times.length && (this.times[this.start] ?? now) <= now - MINUTE_MS)
      this.start += 1;
    if (this.start > 1_024 && this.start * 2 > this.times.length) {
      this.times = this.times.slice(this.start);
      this.start = 0;
    }
    const admitted = this.times.length - this.start < limit;
    if (admitted || count) this.times.push(now);
    return admitted;
  }
}

/**
 * The published rate limits over a sliding minute of simulated time. They are counted always and enforced only when a table was
 * asked for; a call that is refused does not count.
 */
export class RateLimits {
  private readonly table: Record<string, Limit>;
  private readonly enforced: boolean;
  private readonly windows = new Map<string, Window>();
  private readonly passed = new Map<string, Violation>();

  constructor(mode: LimitTable) {
    this.table = TABLES[mode === 'off' ? 'production' : mode];
    this.enforced = mode !== 'off';
  }

  /** Counts a call; the code of the limit it is refused for, else `null`. */
  call(
    now: number,
    path: string,
    clientId: string,
    itemId: string | null,
    fromStart: boolean,
  ): string | null {
    const limit = this.table[path];
    if (!limit) return null;
    let refused: string | null = null;
    const check = (key: string, allowed: number | null | undefined, code: string, subject: string | null) => {
      if (allowed === null || allowed === undefined || refused !== null) return;
      const window = this.windows.get(key) ?? new Window();
      this.windows.set(key, window);
      if (window.admits(now, allowed, !this.enforced)) return;
      this.note({ path, item_id: subject, limit: allowed, code, count: 1 });
      if (this.enforced) refused = code;
    };
    if (itemId !== null) check(`${path}|item|${itemId}`, limit.item, limit.code, itemId);
    const clientCode = limit.clientCode ?? limit.code;
    check(`${path}|client|${clientId}`, limit.client, clientCode, null);
    if (fromStart) check(`${path}|start|${clientId}`, limit.fromStart, clientCode, null);
    return refused;
  }

  violations(): Violation[] {
    return [...this.passed.values()];
  }

  clear(): void {
    this.windows.clear();
    this.passed.clear();
  }

  private note(violation: Violation): void {
    const key = `${violation.path}|${violation.item_id ?? ''}|${violation.limit}`;
    const known = this.passed.get(key);
    if (known) known.count += 1;
    else this.passed.set(key, violation);
  }
}
