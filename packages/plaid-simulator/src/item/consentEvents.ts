import { instant } from '../calendar.js';
import type { World } from '../world.js';
import { consentedDataScopes } from './consentedData.js';
import type { ConsentStep, Item } from './item.js';

/** Keeps that the user's consent has changed, with the accounts and kinds of data that are shared from now on. */
export function noteConsent(
  world: World,
  item: Item,
  step: Omit<ConsentStep, 'at' | 'accountIds' | 'dataScopes'>,
): void {
  const isOver = step.type === 'CONSENT_REVOKED';
  item.facts.consentSteps = [
    ...(item.facts.consentSteps ?? []),
    {
      ...step,
      at: world.clock.now(),
      accountIds: isOver ? [] : item.openAccounts.map(({ account }) => account.account_id),
      dataScopes: isOver ? [] : consentedDataScopes(world, item),
    },
  ];
}

/** What became of the consent to this Item, the oldest first. Use cases are not asked for here. */
export function consentEvents(world: World, item: Item): object[] {
  const institution = world.institutions.get(item.facts.institutionId);
  return (item.facts.consentSteps ?? []).map(({ at, type, code, by, accountIds, dataScopes }) => ({
    item_id: item.id,
    created_at: instant(at),
    event_type: type,
    event_code: code,
    initiator: by,
    institution_id: item.facts.institutionId,
    institution_name: institution?.name ?? null,
    consented_use_cases: [],
    ...(dataScopes ? { consented_data_scopes: dataScopes } : {}),
    consented_accounts: accountIds.map((account_id) => ({ account_id, ...describe(item, account_id) })),
  }));
}

/** What an account is called; Plaid leaves out what there is not. */
function describe(item: Item, accountId: string): object {
  const known =
    item.account(accountId) ??
    item.facts.offered
      .map(({ bankAccount }) => bankAccount)
      .find(({ account }) => account.account_id === accountId);
  if (!known) return {};
  const { mask, name, official_name, type, subtype } = known.account;
  return {
    name,
    ...(mask === null ? {} : { mask }),
    ...(official_name === null ? {} : { official_name }),
    type,
    subtype,
  };
}
