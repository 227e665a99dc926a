import { civilDate } from '../calendar.js';
import { plaidId } from '../ids.js';
import type { World } from '../world.js';
import type { ConsentStep, Item } from './item.js';

/** Plaid's own portal, where users end what they have connected. */
const PORTAL = 'plaid-portal';

interface Dated {
  at: number;
  activity: { id: string } & Record<string, unknown>;
}

/**
 * The Items whose activities a call may see: a bank that has imported its user sees those of all applications that the user has
 * connected there, an application its own.
 */
export function itemsSeenFrom(world: World, items: readonly Item[]): Item[] {
  return [
    ...new Set(items.flatMap((item) => (item.facts.imported ? world.connections.members(item) : [item]))),
  ].filter(({ facts }) => facts.exchanged);
}

/** Everything that was done about these Items, the oldest first, as Plaid's Activity. */
export function activitiesOf(world: World, items: readonly Item[]): Dated['activity'][] {
  return items
    .flatMap((item) => dated(world, item))
    .sort((one, other) => one.at - other.at)
    .map(({ activity }) => activity);
}

function dated(world: World, item: Item): Dated[] {
  const { facts } = item;
  const own = facts.application?.id ?? '';
  const oauth = world.institutions.get(facts.institutionId)?.oauth ?? false;
  const entry = (at: number, what: string, more: Record<string, unknown>): Dated => ({
    at,
    activity: {
      id: plaidId(item.id, 'activity', what),
      initiated_date: civilDate(at),
      state: 'SUCCESS',
      initiator: own,
      target_application_id: own,
      ...more,
    },
  });
  const steps = (facts.consentSteps ?? []).map((step, n) =>
    entry(step.at, String(n), {
      activity: activityOf(step, facts.imported),
      initiator: initiatorOf(step, item),
      ...(step.scopes ? { scopes: step.scopes } : {}),
      ...(step.type === 'CONSENT_GRANTED' ? { authentication: oauth ? 'DATA_PARTNER' : 'PLAID' } : {}),
    }),
  );
  const removal =
    facts.removedAt === null ? [] : [entry(facts.removedAt, 'removal', { activity: 'ITEM_REMOVE' })];
  return [...steps, ...removal];
}

function activityOf({ type, by }: ConsentStep, imported: boolean): string {
  const isBank = by === 'DATA_PROVIDER';
  if (type === 'CONSENT_GRANTED') return imported ? 'ITEM_IMPORT' : 'ITEM_CREATE';
  if (type === 'CONSENT_REVOKED') return isBank ? 'ITEM_UNLINK' : 'PORTAL_UNLINK';
  return isBank ? 'SCOPES_UPDATE' : 'ITEM_UPDATE';
}

/** A bank that is no client of Plaid here goes by its institution. */
function initiatorOf({ type, by, initiator }: ConsentStep, { facts }: Item): string {
  if (initiator !== undefined) return initiator;
  if (by === 'DATA_PROVIDER') return facts.institutionId;
  return type === 'CONSENT_REVOKED' ? PORTAL : (facts.application?.id ?? '');
}
