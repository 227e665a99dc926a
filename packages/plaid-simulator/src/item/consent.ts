import { instant, DAY_MS } from '../calendar.js';
import type { SimulatedInstitution } from '../bank/institutions.js';
import type { World } from '../world.js';
import type { Consent, Item } from './item.js';
import { sendWebhook } from './sendWebhook.js';

/** Notice that Plaid gives before a connection ends. */
const NOTICE_MS = 7 * DAY_MS;
const NORTH_AMERICA: readonly string[] = ['US', 'CA'];
/** How long a consent lasts: 180 days in Europe; most banks of the USA whose consent ends at all give twelve months. */
const EUROPE_DAYS = 180;
const AMERICA_DAYS = 365;

function isEuropean(institution: SimulatedInstitution | undefined): boolean {
  return !institution?.countries.some((country) => NORTH_AMERICA.includes(country));
}

function lifetimeMs(institution: SimulatedInstitution | undefined): number {
  return (isEuropean(institution) ? EUROPE_DAYS : AMERICA_DAYS) * DAY_MS;
}

/** The consent of a new Item: in Europe it always ends, in America only where a control says so. */
export function firstConsent(institution: SimulatedInstitution, now: number): Consent | null {
  if (!isEuropean(institution)) return null;
  return {
    expiresAt: now + lifetimeMs(institution),
    reason: 'INSTITUTION_TOKEN_EXPIRATION',
    announced: false,
  };
}

/** Sets when the connection ends; `null`: never. Less than seven days ahead, the notice goes at once. */
export function setConsent(world: World, item: Item, consent: Omit<Consent, 'announced'> | null): void {
  item.facts.consent = consent && { ...consent, announced: false };
  scheduleConsent(world, item);
  world.keeper.item(item);
}

/** Update mode makes a consent last as long again as a new one; a bank that has migrated asks for no more. */
export function renewConsent(world: World, item: Item): void {
  const { consent } = item.facts;
  if (!consent) return;
  const institution = world.institutions.get(item.facts.institutionId);
  const now = world.clock.now();
  if (consent.reason === 'INSTITUTION_MIGRATION') {
    item.facts.consent = institution ? firstConsent(institution, now) : null;
  } else {
    item.facts.consent = { ...consent, expiresAt: now + lifetimeMs(institution), announced: false };
  }
  scheduleConsent(world, item);
}

/** Plans notice and end of an Item's consent. */
export function scheduleConsent(world: World, item: Item): void {
  const { consent } = item.facts;
  if (!consent) return;
  const isCurrent = () =>
    item.facts.consent === consent && item.facts.removedAt === null && world.items.get(item.id) === item;
  if (!consent.announced) {
    world.schedule.at(Math.max(world.clock.now(), consent.expiresAt - NOTICE_MS), item.id, () => {
      if (isCurrent() && !item.facts.failure) announceEnd(world, item, consent);
    });
  }
  world.schedule.at(consent.expiresAt, item.id, () => {
    if (isCurrent() && !item.facts.failure) end(world, item, consent);
  });
}

function announceEnd(world: World, item: Item, consent: Consent): void {
  consent.announced = true;
  const at = instant(consent.expiresAt);
  if (isEuropean(world.institutions.get(item.facts.institutionId))) {
    sendWebhook(world, item, 'ITEM', 'PENDING_EXPIRATION', { consent_expiration_time: at });
  } else {
    sendWebhook(world, item, 'ITEM', 'PENDING_DISCONNECT', { reason: consent.reason, disconnect_time: at });
  }
  world.keeper.item(item);
}

/** The end itself is reported by no webhook: the notice was it. */
function end(world: World, item: Item, consent: Consent): void {
  const oauth = world.institutions.get(item.facts.institutionId)?.oauth ?? false;
  const reason =
    oauth && consent.reason === 'INSTITUTION_TOKEN_EXPIRATION' ? 'OAUTH_CONSENT_EXPIRED' : undefined;
  item.facts.failure = { code: 'ITEM_LOGIN_REQUIRED', reason, since: world.clock.now() };
  world.keeper.item(item);
}
