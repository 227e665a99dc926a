import { Failure } from '../../domain/failures.js';
import { institutionsOf } from '../../src/clients/plaidAnswers.js';
import type { PlaidInstitution } from '../../domain/plaid.js';
import type { PlaidDirectory } from '../../domain/ports/plaid.js';

export const institution = (
  institution_id: string,
  more: Partial<PlaidInstitution> = {},
): PlaidInstitution => ({
  institution_id,
  name: `Bank ${institution_id}`,
  products: ['transactions'],
  country_codes: ['US'],
  oauth: false,
  url: `https://${institution_id}.example`,
  primary_color: '#112233',
  logo: `logo of ${institution_id}`,
  ...more,
});

/** Plaid's directory by script: `all` is the list, `failing` what is thrown over an institution. */
export class FakeDirectory implements PlaidDirectory {
  all: PlaidInstitution[] = [];
  readonly failing = new Map<string, Failure>();
  readonly asked: string[] = [];
  pageSize = 500;

  async list(offset: number) {
    const page = this.all.slice(offset, offset + this.pageSize);
    // Through the reader of Plaid's answers: what it cannot read is in no list.
    return institutionsOf('/institutions/get', { institutions: page, total: this.all.length });
  }

  async get(institutionId: string): Promise<PlaidInstitution> {
    this.asked.push(institutionId);
    const failure = this.failing.get(institutionId);
    if (failure) throw failure;
    const found = this.all.find((one) => one.institution_id === institutionId);
    if (!found) throw new Failure('UNKNOWN_INSTITUTION', 'no such institution');
    return { ...found, status: { item_logins: { status: 'HEALTHY' } } };
  }
}
