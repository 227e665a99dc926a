import type { Truth } from './compare.js';
import type { StackFile } from './deployment.js';
import { HttpProblem, requestJson } from './httpJson.js';

/** Item as the API answers it, the fields that the demo reads. */
export interface DemoItem {
  readonly item_id: string;
  readonly status: 'ACTIVE' | 'ERROR' | 'REMOVED';
  readonly phase: string;
  readonly history: 'none' | 'initial' | 'complete';
  readonly created_at: string;
}

export interface BankChanges {
  readonly add?: readonly { amount: number; name: string; pending?: boolean }[];
  readonly modify?: readonly { transaction_id: string; [field: string]: unknown }[];
  readonly remove?: readonly string[];
  readonly post?: readonly { transaction_id: string; amount?: number }[];
}

type SimulatorAddress = Pick<StackFile, 'simulator_url' | 'plaid_client_id' | 'plaid_secret'>;
type ApiAddress = Pick<StackFile, 'api_url' | 'admin_api_key'>;

/** Plaid's side: the calls that Link and a bank would make. */
export function simulatorClient(at: SimulatorAddress, signal: AbortSignal) {
  const url = (path: string) => `${at.simulator_url}${path}`;
  return {
    /** Two years of history, webhooks to `webhook`; a custom user goes as JSON without the white space of its file. */
    async createPublicToken(webhook: string, customUser?: object): Promise<string> {
      const body = {
        client_id: at.plaid_client_id,
        secret: at.plaid_secret,
        institution_id: 'ins_109508',
        initial_products: ['transactions', 'auth'],
        options: {
          webhook,
          transactions: { days_requested: 730 },
          ...(customUser !== undefined && {
            override_username: 'user_custom',
            override_password: JSON.stringify(customUser),
          }),
        },
      };
      const answer = await requestJson('POST', url('/sandbox/public_token/create'), { body, signal });
      return (answer as { public_token: string }).public_token;
    },
    truth: async (itemId: string) =>
      (await requestJson('GET', url(`/_sim/items/${itemId}/truth`), { signal })) as Truth,
    advance: (itemId: string, to: 'initial' | 'historical') =>
      requestJson('POST', url(`/_sim/items/${itemId}/advance`), { body: { to }, signal }),
    change: (itemId: string, changes: BankChanges) =>
      requestJson('POST', url(`/_sim/items/${itemId}/transactions`), {
        body: { ...changes, notify: true },
        signal,
      }),
    /** The user has logged in at the bank again; Plaid announces it. */
    repair: (itemId: string) =>
      requestJson('POST', url(`/_sim/items/${itemId}/repair`), { body: { webhook: true }, signal }),
    items: async () =>
      (
        (await requestJson('GET', url('/_sim/items'), { signal })) as {
          items: { item_id: string; removed: boolean }[];
        }
      ).items,
    /** How many institutions Plaid lists in the country that the local stack is configured for. */
    countInstitutions: async (): Promise<number> => {
      const body = {
        client_id: at.plaid_client_id,
        secret: at.plaid_secret,
        count: 1,
        offset: 0,
        country_codes: ['US'],
      };
      return ((await requestJson('POST', url('/institutions/get'), { body, signal })) as { total: number })
        .total;
    },
  };
}

/** Our side: a client of the REST API. */
export function sluiceClient(at: ApiAddress, signal: AbortSignal) {
  const url = (path: string) => `${at.api_url}/v1${path}`;
  const headers = { authorization: `Bearer ${at.admin_api_key}` };
  return {
    link: async (userId: string, publicToken: string) => {
      const body = { public_token: publicToken };
      return (await requestJson('POST', url(`/users/${userId}/items`), {
        headers,
        body,
        signal,
      })) as DemoItem;
    },
    /** Items that were not removed; empty for a user who does not exist yet. */
    items: async (userId: string): Promise<DemoItem[]> => {
      const query = `/users/${userId}/items?status=ACTIVE,ERROR&limit=500`;
      try {
        return ((await requestJson('GET', url(query), { headers, signal })) as { data: DemoItem[] }).data;
      } catch (error) {
        if (error instanceof HttpProblem && error.status === 404) return [];
        throw error;
      }
    },
    item: async (itemId: string) =>
      (await requestJson('GET', url(`/items/${itemId}`), { headers, signal })) as DemoItem,
    pendingWebhooks: async (itemId: string): Promise<number> => {
      const query = `/webhooks?item_id=${itemId}&outcome=pending&limit=500`;
      return ((await requestJson('GET', url(query), { headers, signal })) as { data: unknown[] }).data.length;
    },
  };
}
