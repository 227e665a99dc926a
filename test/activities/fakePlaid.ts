import { Failure } from '../../domain/failures.js';
import type { FailureType } from '../../domain/failures.js';
import type { PlaidAccount, PlaidNumbers, PlaidSyncPage, PlaidTransaction } from '../../domain/plaid.js';
import type { PlaidPort } from '../../domain/ports/plaid.js';
import { failureOfAnswer } from '../../src/clients/plaidFailures.js';
import { account } from '../../tools/faults/core/plaidObjects.js';

export { account, transaction } from '../../tools/faults/core/plaidObjects.js';

/** An Item as Plaid would have it; what a test wants of it is set on it. */
export class FakeItem {
  institution_id: string | null = 'ins_1';
  error: { error_type: string; error_code: string } | null = null;
  removed = false;
  webhook: string | null = 'https://sluice.example/webhooks/plaid';
  lastSuccessfulUpdate: string | null = null;
  consentExpires: string | null = null;
  accounts: PlaidAccount[] = [account('account-1')];
  numbers: PlaidNumbers[] = [];
  /** Something stands among them that nobody can read. */
  oddNumbers = false;
  /** Answers of `/transactions/sync`, by cursor. */
  pages = new Map<string, PlaidSyncPage>();
  /** What `/transactions/get` lists. */
  listed: PlaidTransaction[] = [];

  constructor(
    readonly itemId: string,
    readonly accessToken: string,
  ) {}

  page(cursor: string, next_cursor: string, more: Partial<PlaidSyncPage>): void {
    this.pages.set(cursor, {
      added: [],
      modified: [],
      removed: [],
      accounts: [],
      next_cursor,
      has_more: false,
      transactions_update_status: 'HISTORICAL_UPDATE_COMPLETE',
      ...more,
    });
  }
}

/** Plaid by script: counts every call, and fails a call as the test says. */
export class FakePlaid implements PlaidPort {
  readonly calls: string[] = [];
  /** Public token → Item that its exchange makes. */
  readonly linkable = new Map<string, FakeItem>();
  private readonly byToken = new Map<string, FakeItem>();
  private readonly failures = new Map<string, Failure[]>();
  private readonly refused = new Map<string, { error_type: string; error_code: string }>();

  /** The next call of `method` fails so. */
  failNext(method: keyof PlaidPort, failure: Failure | FailureType): void {
    const made = typeof failure === 'string' ? new Failure(failure, 'as the test wants it') : failure;
    this.failures.set(method, [...(this.failures.get(method) ?? []), made]);
  }

  /** What was to fail, and was not asked for, fails no more. */
  forgetFailures(): void {
    this.failures.clear();
  }

  /** Every call of `method` is refused with this code of Plaid's, until it is null. */
  refuse(method: keyof PlaidPort, error_code: string | null, error_type = 'ITEM_ERROR'): void {
    if (error_code === null) this.refused.delete(method);
    else this.refused.set(method, { error_type, error_code });
  }

  count(method: keyof PlaidPort): number {
    return this.calls.filter((call) => call === method).length;
  }

  async createLinkToken(): Promise<{ link_token: string; expiration: string }> {
    this.note('createLinkToken');
    return { link_token: 'link-1', expiration: '2026-11-21T12:00:00Z' };
  }

  async exchangePublicToken(publicToken: string): Promise<{ accessToken: string; itemId: string }> {
    this.note('exchangePublicToken');
    const item = this.linkable.get(publicToken);
    this.linkable.delete(publicToken);
    if (item === undefined) throw new Failure('INVALID_PUBLIC_TOKEN', 'no such token');
    this.byToken.set(item.accessToken, item);
    return { accessToken: item.accessToken, itemId: item.itemId };
  }

  async getItem(accessToken: string) {
    const item = this.living('getItem', accessToken);
    const { institution_id, error, webhook, lastSuccessfulUpdate } = item;
    return {
      institution_id,
      institution_name: institution_id,
      webhook,
      error,
      consent_expiration_time: item.consentExpires,
      last_successful_update: lastSuccessfulUpdate,
    };
  }

  async updateWebhook(accessToken: string, url: string): Promise<void> {
    this.living('updateWebhook', accessToken).webhook = url;
  }

  async resetLogin(accessToken: string): Promise<void> {
    const item = this.living('resetLogin', accessToken);
    item.error = { error_type: 'ITEM_ERROR', error_code: 'ITEM_LOGIN_REQUIRED' };
  }

  async removeItem(accessToken: string): Promise<void> {
    this.note('removeItem');
    const item = this.byToken.get(accessToken);
    if (item) item.removed = true;
  }

  async getAccounts(accessToken: string): Promise<PlaidAccount[]> {
    return this.living('getAccounts', accessToken).accounts;
  }

  async getNumbers(accessToken: string, accountIds?: readonly string[]) {
    const { numbers, oddNumbers } = this.living('getNumbers', accessToken);
    const asked = numbers.filter(({ account_id }) => accountIds?.includes(account_id) ?? true);
    return { numbers: asked, isWhole: !oddNumbers };
  }

  async syncTransactions(accessToken: string, cursor: string): Promise<PlaidSyncPage> {
    const page = this.living('syncTransactions', accessToken).pages.get(cursor);
    if (page === undefined) throw new Failure('BAD_REQUEST', `the script has no page at cursor "${cursor}"`);
    return page;
  }

  async getTransactions(accessToken: string, query: { count: number; offset: number }) {
    const { listed } = this.living('getTransactions', accessToken);
    return {
      transactions: listed.slice(query.offset, query.offset + query.count),
      total: listed.length,
    };
  }

  private note(method: keyof PlaidPort): void {
    this.calls.push(method);
    const failure = this.failures.get(method)?.shift();
    if (failure) throw failure;
    const refusal = this.refused.get(method);
    if (refusal === undefined) return;
    const body = { ...refusal, request_id: 'r1' };
    throw failureOfAnswer(`/${method}`, { status: 400, body, retryAfter: undefined }, 0);
  }

  private living(method: keyof PlaidPort, accessToken: string): FakeItem {
    this.note(method);
    const item = this.byToken.get(accessToken);
    if (item === undefined || item.removed) throw new Failure('ITEM_GONE', 'Plaid does not know the Item');
    return item;
  }
}
