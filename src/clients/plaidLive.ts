import { Failure } from '../../domain/failures.js';
import type { PlaidAccount, PlaidTransaction } from '../../domain/plaid.js';
import type { PlaidLive } from '../../domain/ports/plaid.js';
import type { PlaidCalls } from './plaidCalls.js';
import { institutionOf, objectsOf, requestIdOf, transactionsOf } from './plaidAnswers.js';

/** The age up to which a bank that names the time of its balances (Capital One) may answer with them. */
const oldestBalanceMs = 86_400_000;

/** Reads that go straight through to a client. Of a list only what is an object: that is what is promised of Plaid's. */
export function createPlaidLive({ api, ask, countryCodes, usual, slow }: PlaidCalls): PlaidLive {
  async function accounts(accessToken: string) {
    const path = '/accounts/get';
    const body = await ask(path, usual, (o) => api.accountsGet({ access_token: accessToken }, o));
    return {
      accounts: objectsOf(path, body, 'accounts') as PlaidAccount[],
      request_id: requestIdOf(path, body),
    };
  }

  return {
    accounts,

    async balances(accessToken) {
      const path = '/accounts/balance/get';
      const request = {
        access_token: accessToken,
        options: {
          // Mandatory at Capital One, ignored elsewhere; in the form that Plaid documents, without fractions.
          min_last_updated_datetime: new Date(Date.now() - oldestBalanceMs)
            .toISOString()
            .replace(/\.\d+Z$/, 'Z'),
        },
      };
      try {
        const body = await ask(path, slow, (o) => api.accountsBalanceGet(request, o));
        return {
          accounts: objectsOf(path, body, 'accounts') as PlaidAccount[],
          request_id: requestIdOf(path, body),
        };
      } catch (error) {
        const tooOld =
          error instanceof Failure && error.upstream?.error_code === 'LAST_UPDATED_DATETIME_OUT_OF_RANGE';
        if (tooOld) return accounts(accessToken);
        throw error;
      }
    },

    async transactions(accessToken, { from, to, accountIds, count, offset }) {
      const path = '/transactions/get';
      const request = {
        access_token: accessToken,
        start_date: from,
        end_date: to,
        options: {
          count,
          offset,
          include_original_description: true,
          ...(accountIds === undefined ? {} : { account_ids: accountIds }),
        },
      };
      const body = await ask(path, slow, (o) => api.transactionsGet(request, o));
      return {
        transactions: objectsOf(path, body, 'transactions') as PlaidTransaction[],
        total_transactions: transactionsOf(path, body).total,
        request_id: requestIdOf(path, body),
      };
    },

    async institution(institutionId) {
      const path = '/institutions/get_by_id';
      const request = {
        institution_id: institutionId,
        country_codes: countryCodes,
        options: { include_optional_metadata: true, include_status: true },
      };
      const body = await ask(path, usual, (o) => api.institutionsGetById(request, o));
      return { institution: institutionOf(path, body), request_id: requestIdOf(path, body) };
    },
  };
}
