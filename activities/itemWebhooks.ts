import type { Health } from '../domain/item/state.js';
import type { ItemFact } from '../domain/webhooks/itemFacts.js';
import { itemFactOf } from '../domain/webhooks/itemFacts.js';
import type { ItemWebhooksEffect } from '../domain/ports/items.js';
import type { WebhookSource } from '../domain/ports/webhooks.js';
import type { ActivityDeps } from './deps.js';
import { verdictOf } from '../domain/item/health.js';
import { failureTypeOf } from '../domain/plaidErrors.js';
import type { UserActionError } from '../domain/mining/run.js';
import type { TaskName } from '../domain/item/tasks.js';
import { askForProducts, askHealth, dueAfter } from './itemHealth.js';
import { untilItStands } from '../domain/untilItStands.js';

type WebhookFact = { webhookId: string; source: WebhookSource; receivedAt: string; fact: ItemFact | null };

const webhooksAtOnce = 200;
const aboutHealth: ReadonlySet<ItemFact['kind']> = new Set(['errored', 'repaired', 'permissionRevoked']);

/** A bank announces the end of a connection so long before it, where Plaid does not say when it comes. */
const disconnectsAfterMs = 7 * 24 * 3_600_000;

/** They make the numbers due. */
const aboutNumbers: ReadonlySet<ItemFact['kind']> = new Set([
  'numbersChanged',
  'accountRevoked',
  'verificationEnded',
]);
/** They make an update due: of an account something is different. */
const aboutAccounts: ReadonlySet<ItemFact['kind']> = new Set(['accountRevoked', 'verificationEnded']);

/** What is believed of single accounts. Webhooks that an operator replays tell of the past: for them Plaid is asked, and that is all. */
function ofAccounts(
  webhookFacts: readonly WebhookFact[],
  isBroken: boolean,
): Pick<ItemWebhooksEffect, 'revokedAccounts' | 'doubtedNumbers' | 'staleNumbers' | 'verifications'> {
  const said: ReturnType<typeof ofAccounts> = {
    revokedAccounts: [],
    doubtedNumbers: null,
    staleNumbers: [],
    verifications: [],
  };
  for (const { source, receivedAt, fact } of webhookFacts) {
    if (fact === null || source === 'replay') continue;
    if (fact.kind === 'accountRevoked') {
      if (fact.accountId === null) said.doubtedNumbers = receivedAt;
      else said.revokedAccounts.push({ accountId: fact.accountId, receivedAt });
    }
    // Plaid says another reason why the Item is broken, and nobody can ask for its numbers: they are read anew once it is repaired.
    if (fact.kind === 'permissionRevoked' && isBroken) said.doubtedNumbers = receivedAt;
    if (fact.kind === 'numbersChanged') {
      if (fact.unnamed) said.doubtedNumbers = receivedAt;
      said.staleNumbers.push(...fact.accountIds.map((accountId) => ({ accountId, receivedAt })));
    }
    if (fact.kind === 'verificationEnded' && fact.accountId !== null)
      said.verifications.push({
        accountId: fact.accountId,
        receivedAt,
        verification: fact.verification,
      });
  }
  return said;
}

/** The last word on when the bank ends the connection: a repair that is believed takes it back, a replay tells of the past. */
function disconnectsBy(
  webhookFacts: readonly WebhookFact[],
  isHealthy: boolean,
): ItemWebhooksEffect['disconnects'] {
  let said: ItemWebhooksEffect['disconnects'] = null;
  for (const { source, fact } of webhookFacts) {
    if (source === 'replay') continue;
    if (fact?.kind === 'disconnects') {
      const guess = new Date(Date.now() + disconnectsAfterMs).toISOString();
      said = fact.at === null ? { at: guess, guessed: true } : { at: fact.at };
    }
    if (fact?.kind === 'repaired' && isHealthy) said = { at: null };
  }
  return said;
}

/** Whether `/item/get` alone knows what comes of it. */
const asks = ({ fact, source }: WebhookFact): boolean =>
  fact !== null &&
  (aboutHealth.has(fact.kind) ||
    (fact.kind === 'consentExpires' && (source === 'replay' || fact.at === null)));

/** Plaid's word of a repair; one that an operator replays speaks of the past. */
const isRepair = ({ fact, source }: WebhookFact): boolean => fact?.kind === 'repaired' && source !== 'replay';

/** Those that wait for an answer of `/item/get`; also an end of the connection that was announced after a repair which waits. */
function waitingOf(webhookFacts: readonly WebhookFact[]): ReadonlySet<WebhookFact> {
  const repairedAt = webhookFacts.findIndex(isRepair);
  return new Set(
    webhookFacts.filter(
      (one, place) =>
        asks(one) || (one.fact?.kind === 'disconnects' && repairedAt >= 0 && place > repairedAt),
    ),
  );
}

/** The user's word that the permission is taken back; one that an operator replays speaks of the past. */
function revocationOf(webhookFacts: readonly WebhookFact[]): { error: UserActionError } | null {
  for (const { fact, source } of webhookFacts) {
    if (fact?.kind === 'permissionRevoked' && source !== 'replay') return { error: fact.error };
  }
  return null;
}

/** Whether Plaid's error is what it says of an Item whose user has taken the permission back. */
function isRevocation(error: UserActionError): boolean {
  const type = failureTypeOf(error);
  return type === 'PERMISSION_REVOKED' || type === 'ITEM_GONE';
}

/** Why a webhook changes nothing, seen from how the Item is now. */
function reasonToIgnore(fact: ItemFact | null, wasBroken: boolean, health: Health | null): string | null {
  if (fact === null) return 'malformed_body';
  if ((fact.kind === 'errored' || fact.kind === 'permissionRevoked') && health === 'healthy') {
    return 'item_is_healthy';
  }
  if (fact.kind === 'repaired' && health !== 'healthy') return 'item_is_broken';
  // No episode is on its way: nobody heard of an error that could be repaired.
  return fact.kind === 'repaired' && !wasBroken ? 'item_was_healthy' : null;
}

/** How the Item is, and what that makes of a revocation. */
interface Answer {
  result: Health | null;
  health: ItemWebhooksEffect['health'];
  revocation: ItemWebhooksEffect['revocation'];
  /** What `/item/get` names is no error of the Item's own: its bank is down, say. */
  isOutage?: boolean;
}

const nobodyAsked: Answer = { result: null, health: null, revocation: null };

export function itemWebhookActivities(deps: ActivityDeps) {
  const { items, policy } = deps;

  /**
   * How the Item is. Webhooks come late, twice and in any order: of errors, repairs and revocations only Plaid knows. A revocation
   * is disowned where `/item/get` knows nothing of it and the products work, too. `/item/get` ends no
   * episode by itself, without a word of a repair, while transactions are refused for want of the user, and none at all that a
   * product call had begun: then the products have to work. `unsure`: nobody knows now, so it is checked soon.
   */
  async function answerOf(itemId: string, webhookFacts: readonly WebhookFact[]): Promise<Answer> {
    if (!webhookFacts.some(asks)) return nobodyAsked;
    const revoked = revocationOf(webhookFacts);
    const answer = await askHealth(deps, itemId);
    if (answer === null) return nobodyAsked;
    const { seen, consent, episodeBy } = answer;
    const isRepaired = webhookFacts.some(({ fact }) => fact?.kind === 'repaired');
    const said = { kind: 'broken', seen, byCall: false, consent } as const;
    const dueAt = new Date(Date.now() + policy.brokenCheck).toISOString();
    const disowned = revoked === null ? null : 'disowned';
    if (answer.result === 'broken' || answer.result === 'gone') {
      const { result, error } = answer;
      if (revoked !== null && (result === 'gone' || isRevocation(error))) {
        const health = { ...said, error: revoked.error, dueAt };
        return { result: 'broken', health, revocation: 'confirmed' };
      }
      return { result, health: { ...said, error, dueAt }, revocation: disowned };
    }
    const healthy: Answer = {
      result: 'healthy',
      health: { kind: 'healthy', seen, consent },
      revocation: disowned,
      isOutage: answer.result === 'outage',
    };
    const believed = isRepaired && answer.result === 'healthy' && episodeBy === 'item';
    if (revoked === null && (episodeBy === null || believed)) return healthy;
    const products = await askForProducts(deps, itemId);
    if (revoked !== null) {
      if (products.kind === 'unknown') throw products.failure;
      if (products.kind === 'refused' && isRevocation(products.error)) {
        const health = { ...said, byCall: true, error: revoked.error, dueAt };
        return { result: 'broken', health, revocation: 'confirmed' };
      }
      // Whatever else is wrong the next update finds.
      if (episodeBy === null || believed) return healthy;
    }
    const verdict = verdictOf(answer.result, episodeBy, products);
    switch (verdict.kind) {
      case 'healthy':
        return healthy;
      case 'broken':
        return {
          result: 'unsure',
          health: { ...said, error: verdict.error, byCall: verdict.byCall, dueAt },
          revocation: disowned,
        };
      case 'unknown':
        return { result: 'unsure', health: null, revocation: disowned };
    }
  }

  return {
    /**
     * Acts on the waiting webhooks about the Item itself, 200 at once. Those that need no question are settled first, and the numbers
     * of an Item whose user has taken the permission back are withheld; the others by another call, in which `/item/get` is asked.
     * What they say is stored with their outcomes in one transaction. `more`: others wait, also of those that came meanwhile. Safe to
     * repeat.
     */
    async settleItemWebhooks(input: { itemId: string }): Promise<{
      health: Health | null;
      numbersDue: boolean;
      updateDue?: boolean;
      repairSaid?: boolean;
      more: boolean;
      makesDue?: TaskName[];
    }> {
      const { itemId } = input;
      return untilItStands(async () => {
        const { broken, withheld, webhooks } = await items.itemWebhooks(itemId, webhooksAtOnce);
        if (webhooks.length === 0) return { health: null, numbersDue: false, more: false };
        const webhookFacts = webhooks.map(({ body, ...webhook }): WebhookFact => ({
          ...webhook,
          fact: itemFactOf(body),
        }));
        const waiting = waitingOf(webhookFacts);
        const isRevoked = revocationOf(webhookFacts) !== null;
        // Plaid may not answer for hours: nothing of what needs no answer waits for it.
        const first = waiting.size < webhookFacts.length || (isRevoked && !withheld);
        const { result, health, revocation, isOutage }: Answer = first
          ? { ...nobodyAsked, revocation: isRevoked ? 'doubted' : null }
          : await answerOf(itemId, webhookFacts);
        const acted = webhookFacts.filter((one) => !first || !waiting.has(one));
        const repaired = broken && result === 'healthy';
        const numbersDue = repaired || acted.some(({ fact }) => fact !== null && aboutNumbers.has(fact.kind));
        // An outage calls no Item broken: an update shows what it meets of it, and goes on trying until it is over.
        const updateDue =
          (isOutage === true && !broken) ||
          acted.some(({ fact }) => fact !== null && aboutAccounts.has(fact.kind));
        const expiries = acted.flatMap(({ fact, source }) =>
          fact?.kind === 'consentExpires' && source !== 'replay' && fact.at !== null ? [fact.at] : [],
        );
        const stands = await items.applyItemWebhooks(itemId, {
          webhooks: webhookFacts.map((one) => ({
            webhookId: one.webhookId,
            ignored: reasonToIgnore(one.fact, broken, result),
            ...(first && waiting.has(one) ? { waits: true } : {}),
          })),
          health,
          revocation,
          consentExpiresAt: expiries.at(-1) ?? null,
          disconnects: disconnectsBy(webhookFacts, result === 'healthy'),
          newAccounts: acted.some(({ fact }) => fact?.kind === 'newAccounts'),
          ...ofAccounts(acted, health?.kind === 'broken'),
          numbersDue,
          updateDue,
        });
        if (!stands) return 'moved';
        // Read after the commit: of one that came before it nobody hears, since this one seemed to be on its way.
        const others = await items.itemWebhooks(itemId, 1);
        return {
          health: result,
          numbersDue,
          ...(updateDue ? { updateDue } : {}),
          ...(health?.kind === 'broken' && acted.some(isRepair) ? { repairSaid: true } : {}),
          more: others.webhooks.length > 0,
          ...(health?.kind === 'broken' ? dueAfter(health.error) : {}),
        };
      });
    },
  };
}
