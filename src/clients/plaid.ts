import http from 'node:http';
import https from 'node:https';
import type { CountryCode, Products } from 'plaid';
import { Configuration, PlaidApi } from 'plaid';
import { Failure } from '../../domain/failures.js';
import type { PlaidDirectory, PlaidLive, PlaidPort } from '../../domain/ports/plaid.js';
import type { WebhookKey } from '../../domain/ports/webhookKeys.js';
import {
  accountsOf,
  checkDone,
  exchangeOf,
  itemOf,
  linkTokenOf,
  numbersOf,
  syncPageOf,
  transactionsOf,
  webhookKeyOf,
} from './plaidAnswers.js';
import type { PlaidCalls } from './plaidCalls.js';
import { ask } from './plaidCalls.js';
import { createPlaidDirectory } from './plaidDirectory.js';
import { createPlaidLive } from './plaidLive.js';

export interface PlaidOptions {
  /** Origin, with or without a path prefix. Never guessed: the Plaid client's own default is production. */
  baseUrl: string;
  clientId: string;
  secret: string;
  /** Shown in Link; beyond 30 characters Plaid shows a generic name. */
  clientName: string;
  /** For new links, `transactions` among them; `auth` is added as required-if-supported. */
  products: readonly string[];
  countryCodes: readonly string[];
  /** Where Plaid sends an Item's webhooks; null = nowhere. */
  webhookUrl: string | null;
  /** Link's language; default `en`. */
  language?: string;
  /** For cached reads and link tokens, from start to last byte; default 10 s. */
  timeoutMs?: number;
  /** For what Plaid may ask the bank for, and for calls whose lost answer costs dearly; default 60 s. */
  slowTimeoutMs?: number;
  /** For webhook keys: Plaid waits 10 s for the answer to the webhook that needs one; default 3 s. */
  keyTimeoutMs?: number;
}

export interface Plaid extends PlaidPort {
  live: PlaidLive;
  directory: PlaidDirectory;
  /** `/webhook_verification_key/get`; null when Plaid knows no such key. */
  getWebhookKey(kid: string): Promise<WebhookKey | null>;
  /** Ends idle connections. */
  close(): void;
}

/** Two years, the most Plaid gives; it cannot be raised once an Item has Transactions. */
const daysRequested = 730;
const pageSize = 500;
/** A page of 500 rows is about 0.6 MB. */
const longestAnswer = 64 * 1024 * 1024;

const unknownKeyCodes: ReadonlySet<string> = new Set([
  'INVALID_WEBHOOK_VERIFICATION_KEY_ID',
  'INVALID_FIELD',
]);

function basePathOf(baseUrl: string): string {
  const url = URL.canParse(baseUrl) ? new URL(baseUrl) : null;
  if (url === null || (url.protocol !== 'https:' && url.protocol !== 'http:')) {
    throw new Failure('MISCONFIGURED', "Plaid's base URL is not an http(s) URL");
  }
  return baseUrl.replace(/\/+$/, '');
}

/**
 * Plaid's API as a port. Every method rejects with a Failure and nothing else; `outcomeUnknown` says that Plaid may have
 * done the work. No retries here: Temporal retries, and only it knows what a repeat costs.
 */
export function createPlaid(options: PlaidOptions): Plaid {
  const usual = options.timeoutMs ?? 10_000;
  const slow = options.slowTimeoutMs ?? 60_000;
  const keyTimeout = options.keyTimeoutMs ?? 3_000;
  const agents = [new http.Agent({ keepAlive: true }), new https.Agent({ keepAlive: true })] as const;
  // A kept connection that the other side closes at that very moment loses the request's outcome: never for the exchange.
  const freshAgents = { httpAgent: new http.Agent(), httpsAgent: new https.Agent() };
  const api = new PlaidApi(
    new Configuration({
      basePath: basePathOf(options.baseUrl),
      baseOptions: {
        headers: { 'PLAID-CLIENT-ID': options.clientId, 'PLAID-SECRET': options.secret },
        httpAgent: agents[0],
        httpsAgent: agents[1],
        decompress: true,
        maxRedirects: 0,
        maxContentLength: longestAnswer,
        // Neither a proxy from the environment nor axios' silent fall-back from bad JSON to text.
        proxy: false,
        responseType: 'text',
        transformResponse: [(data: unknown) => data],
        validateStatus: () => true,
      },
    }),
  );

  const calls: PlaidCalls = {
    api,
    ask,
    countryCodes: [...options.countryCodes] as CountryCode[],
    usual,
    slow,
  };

  const live = createPlaidLive(calls);

  return {
    live,
    directory: createPlaidDirectory(calls, live),

    async createLinkToken({ userId, accessToken, accountSelection, asksConsent, asksNumbers }) {
      const path = '/link/token/create';
      const shared = {
        client_name: options.clientName,
        language: options.language ?? 'en',
        country_codes: [...options.countryCodes] as CountryCode[],
        user: { client_user_id: userId },
      };
      const consented = new Set([
        ...(asksConsent === true ? options.products : []),
        ...(asksNumbers === true ? ['auth'] : []),
      ]);
      const request =
        accessToken === undefined
          ? {
              ...shared,
              products: [...options.products] as Products[],
              ...(options.products.includes('auth')
                ? {}
                : { required_if_supported_products: ['auth' as Products] }),
              ...(options.products.includes('transactions')
                ? { transactions: { days_requested: daysRequested } }
                : {}),
              ...(options.webhookUrl === null ? {} : { webhook: options.webhookUrl }),
            }
          : {
              ...shared,
              access_token: accessToken,
              ...(accountSelection === true ? { update: { account_selection_enabled: true } } : {}),
              ...(consented.size > 0 ? { additional_consented_products: [...consented] as Products[] } : {}),
            };
      return linkTokenOf(path, await ask(path, usual, (o) => api.linkTokenCreate(request, o)));
    },

    async exchangePublicToken(publicToken) {
      const path = '/item/public_token/exchange';
      const body = await ask(
        path,
        slow,
        (o) => api.itemPublicTokenExchange({ public_token: publicToken }, o),
        freshAgents,
      );
      return exchangeOf(path, body);
    },

    async getItem(accessToken) {
      const path = '/item/get';
      return itemOf(path, await ask(path, usual, (o) => api.itemGet({ access_token: accessToken }, o)));
    },

    async updateWebhook(accessToken, url) {
      const path = '/item/webhook/update';
      const request = { access_token: accessToken, webhook: url };
      checkDone(path, await ask(path, usual, (o) => api.itemWebhookUpdate(request, o)));
    },

    async resetLogin(accessToken) {
      const path = '/sandbox/item/reset_login';
      checkDone(
        path,
        await ask(path, usual, (o) => api.sandboxItemResetLogin({ access_token: accessToken }, o)),
      );
    },

    async removeItem(accessToken) {
      const path = '/item/remove';
      checkDone(path, await ask(path, slow, (o) => api.itemRemove({ access_token: accessToken }, o)));
    },

    async getAccounts(accessToken) {
      const path = '/accounts/get';
      const body = await ask(path, usual, (o) => api.accountsGet({ access_token: accessToken }, o));
      return accountsOf(path, body);
    },

    async getNumbers(accessToken, accountIds) {
      const path = '/auth/get';
      const request = {
        access_token: accessToken,
        ...(accountIds === undefined ? {} : { options: { account_ids: [...accountIds] } }),
      };
      return numbersOf(path, await ask(path, slow, (o) => api.authGet(request, o)));
    },

    async syncTransactions(accessToken, cursor) {
      const path = '/transactions/sync';
      const request = {
        access_token: accessToken,
        count: pageSize,
        options: { include_original_description: true },
        ...(cursor === '' ? {} : { cursor }),
      };
      const body = await ask(path, slow, (o) => api.transactionsSync(request, o));
      return syncPageOf(path, body, cursor);
    },

    async getTransactions(accessToken, query) {
      const path = '/transactions/get';
      const request = {
        access_token: accessToken,
        start_date: query.from,
        end_date: query.to,
        options: {
          count: query.count,
          offset: query.offset,
          include_original_description: true,
          ...(query.accountIds === undefined ? {} : { account_ids: query.accountIds }),
        },
      };
      return transactionsOf(path, await ask(path, slow, (o) => api.transactionsGet(request, o)));
    },

    async getWebhookKey(kid) {
      const path = '/webhook_verification_key/get';
      try {
        const body = await ask(path, keyTimeout, (o) => api.webhookVerificationKeyGet({ key_id: kid }, o));
        return webhookKeyOf(path, body);
      } catch (error) {
        if (error instanceof Failure && unknownKeyCodes.has(error.upstream?.error_code ?? '')) return null;
        throw error;
      }
    },

    close() {
      for (const agent of agents) agent.destroy();
    },
  };
}
