import type { Health } from '../domain/item/state.js';
import type { ItemFact } from '../domain/webhooks/itemFacts.js';
import { itemFactOf } from '../domain/webhooks/itemFacts.js';
import type { ItemWebhooksEffect } from '../domain/ports/items.js';
import type { WebhookSource } from '../domain/ports/webhooks.js';
import type { ActivityDeps } from './deps.js';
import { verdictOf } from '../domain/item/health.js';
import type { TaskName } from '../domain/item/tasks.js';
import { askForProducts, askHealth, dueAfter } from './itemHealth.js';
import { untilItStands } from '../domain/untilItStands.js';

type WebhookFact = { webhookId: string; source: WebhookSource; receivedAt: string; fact: ItemFact | null };

const webhooksAtOnce = 200;
const aboutHealth: ReadonlySet<ItemFact['kind']> = new Set(['errored', 'repaired', 'permissionRevoked']);

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
): Pick<ItemWebhooksEffect, 'revokedAccounts' | 'staleNumbers' | 'verifications'> {
  const said: ReturnType<typeof ofAccounts> = { revokedAccounts: [], staleNumbers: [], verifications: [] };
  for (const { source, receivedAt, fact } of webhookFacts) {
    if (fact === null || source === 'replay') continue;
    if (fact.kind === 'accountRevoked') said.revokedAccounts.push({ accountId: fact.accountId, receivedAt });
    if (fact.kind === 'numbersChanged')
      said.staleNumbers.push(...fact.accountIds.map((accountId) => ({ accountId, receivedAt })));
    if (fact.kind === 'verificationEnded')
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
    if (fact?.kind === 'disconnects') said = { at: fact.at };
    if (fact?.kind === 'repaired' && isHealthy) said = { at: null };
  }
  return said;
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

export function itemWebhookActivities(deps: ActivityDeps) {
  const { items, policy } = deps;

  /**
   * How the Item is. A revocation is believed at once, so that nothing more is read; of errors and repairs only `/item/get`
   * knows, since webhooks come late and in any order. A later `/item/get` ends a revocation that the user has taken back. It ends no
   * episode by itself, without a word of a repair, while transactions are refused for want of the user, and none at all that a
   * product call had begun: then the products have to work. `unsure`: nobody knows now, so it is checked soon.
   */
  async function healthOf(
    itemId: string,
    webhookFacts: readonly WebhookFact[],
  ): Promise<{ result: Health | null; health: ItemWebhooksEffect['health'] }> {
    const dueAt = new Date(Date.now() + policy.brokenCheck).toISOString();
    const said = { revoked: false, byCall: false, dueAt };
    // One that an operator replays speaks of the past.
    const revoked = webhookFacts.find(
      ({ fact, source }) => fact?.kind === 'permissionRevoked' && source !== 'replay',
    )?.fact;
    if (revoked?.kind === 'permissionRevoked') {
      return {
        result: 'broken',
        health: { ...said, kind: 'broken', seen: null, error: revoked.error, revoked: true, consent: null },
      };
    }
    const asked = webhookFacts.some(
      ({ fact, source }) =>
        fact !== null &&
        (aboutHealth.has(fact.kind) || (fact.kind === 'consentExpires' && source === 'replay')),
    );
    const answer = asked ? await askHealth(deps, itemId) : null;
    if (answer === null) return { result: null, health: null };
    const { seen, consent, episodeBy } = answer;
    if (answer.result === 'broken' || answer.result === 'gone') {
      const { result, error } = answer;
      return { result, health: { ...said, kind: 'broken', seen, error, consent } };
    }
    const repaired = webhookFacts.some(({ fact }) => fact?.kind === 'repaired');
    const believed = repaired && answer.result === 'healthy' && episodeBy === 'item';
    if (episodeBy === null || believed)
      return { result: 'healthy', health: { kind: 'healthy', seen, consent } };
    const verdict = verdictOf(answer.result, episodeBy, await askForProducts(deps, itemId));
    switch (verdict.kind) {
      case 'healthy':
        return { result: 'healthy', health: { kind: 'healthy', seen, consent } };
      case 'broken':
        return { result: 'unsure', health: { ...said, ...verdict, seen, consent } };
      case 'unknown':
        return { result: 'unsure', health: null };
    }
  }

  return {
    /**
     * Acts on the waiting webhooks about the Item itself, the oldest 200 at once. Where they speak of its health `/item/get` is asked.
     * What they say is stored with their outcomes in one transaction. `more`: others wait, also of those that came meanwhile. Safe to
     * repeat.
     */
    async settleItemWebhooks(input: { itemId: string }): Promise<{
      health: Health | null;
      numbersDue: boolean;
      updateDue?: boolean;
      more: boolean;
      makesDue?: TaskName[];
    }> {
      const { itemId } = input;
      return untilItStands(async () => {
        const { broken, webhooks } = await items.itemWebhooks(itemId, webhooksAtOnce);
        if (webhooks.length === 0) return { health: null, numbersDue: false, more: false };
        const webhookFacts = webhooks.map(({ body, ...webhook }): WebhookFact => ({
          ...webhook,
          fact: itemFactOf(body),
        }));
        const facts = webhookFacts.map(({ fact }) => fact);
        const { result, health } = await healthOf(itemId, webhookFacts);
        const repaired = broken && result === 'healthy';
        const numbersDue = repaired || facts.some((fact) => fact !== null && aboutNumbers.has(fact.kind));
        const updateDue = facts.some((fact) => fact !== null && aboutAccounts.has(fact.kind));
        const expiries = webhookFacts.flatMap(({ fact, source }) =>
          fact?.kind === 'consentExpires' && source !== 'replay' ? [fact.at] : [],
        );
        const stands = await items.applyItemWebhooks(itemId, {
          webhooks: webhookFacts.map(({ webhookId, fact }) => ({
            webhookId,
            ignored: reasonToIgnore(fact, broken, result),
          })),
          health,
          consentExpiresAt: expiries.at(-1) ?? null,
          disconnects: disconnectsBy(webhookFacts, result === 'healthy'),
          newAccounts: facts.some((fact) => fact?.kind === 'newAccounts'),
          ...ofAccounts(webhookFacts),
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
          more: others.webhooks.length > 0,
          ...(health?.kind === 'broken' ? dueAfter(health.error) : {}),
        };
      });
    },
  };
}
