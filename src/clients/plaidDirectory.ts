import { institutionsAtOnce } from '../../domain/institutions/sync.js';
import type { PlaidDirectory, PlaidLive } from '../../domain/ports/plaid.js';
import type { PlaidCalls } from './plaidCalls.js';
import { institutionsOf } from './plaidAnswers.js';
import { failureOfShape } from './plaidFailures.js';

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
      const ask = async () => (await live.institution(institutionId)).institution;
      const first = await ask();
      if (first.institution_id === institutionId) return first;
      // That a bank has another id is remembered for good, and both count as one bank: not by one odd answer.
      const second = await ask();
      if (second.institution_id === institutionId || second.institution_id === first.institution_id)
        return second;
      throw failureOfShape('/institutions/get_by_id', 'another institution each time');
    },
  };
}
