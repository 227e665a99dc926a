import type { PlaidDirectory, PlaidLive } from '../../domain/ports/plaid.js';
import type { PlaidCalls } from './plaidCalls.js';
import { institutionsOf } from './plaidAnswers.js';

const pageSize = 500;

/** Plaid's directory of institutions in the configured countries. */
export function createPlaidDirectory(
  { api, ask, countryCodes, slow }: PlaidCalls,
  live: PlaidLive,
): PlaidDirectory {
  return {
    async list(offset) {
      const path = '/institutions/get';
      const request = {
        count: pageSize,
        offset,
        country_codes: countryCodes,
        options: { include_optional_metadata: true },
      };
      // With logos a page is some megabytes.
      return institutionsOf(path, await ask(path, slow, (o) => api.institutionsGet(request, o)));
    },

    async get(institutionId) {
      return (await live.institution(institutionId)).institution;
    },
  };
}
