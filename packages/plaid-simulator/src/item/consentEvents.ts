import { instant } from '../calendar.js';
import type { World } from '../world.js';
import type { ConsentStep, Item } from './item.js';

/** Keeps that the user's consent has changed, with the accounts that are shared from now on. */
export function noteConsent(world: World, item: Item, step: Pick<ConsentStep, 'type' | 'code' | 'by'>): void {
  const accountIds =
    step.type === 'CONSENT_REVOKED' ? [] : item.openAccounts.map((o) => o.account.account_id);
  item.facts.consentSteps = [
    ...(item.facts.consentSteps ?? []),
    { ...step, at: world.clock.now(), accountIds },
  ];
}

/** What became of the consent to this Item, the oldest first. Use cases are not asked for here. */
export function consentEvents(world: World, item: Item): object[] {
  const institution = world.institutions.get(item.facts.institutionId);
  return (item.facts.consentSteps ?? []).map(({ at, type, code, by, accountIds }) => ({
    item_id: item.id,
    created_at: instant(at),
    event_type: type,
    event_code: code,
    initiator: by,
    institution_id: item.facts.institutionId,
    institution_name: institution?.name ?? null,
    consented_use_cases: [],
    consented_accounts: accountIds.map((account_id) => ({ account_id })),
  }));
}
