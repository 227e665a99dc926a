import { institutionsAtOnce } from '../../domain/institutions/sync.js';
import type { PlaidDirectory, PlaidLive } from '../../domain/ports/plaid.js';
import type { PlaidCalls } from './plaidCalls.js';
import { institutionsOf } from './plaidAnswers.js';

/** Plaid's directory of institutions in the configured countries. */
export function createPlaidDirectory(
  { api, ask, countryCodes, slow }: PlaidCalls,
  live: PlaidLive,
): PlaidDirectory {
  return {
    async list(offset) {
      const path = '/institutions/get';
      const request = {
        count: institutionsAtOnce,
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
