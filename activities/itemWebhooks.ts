import type { Health } from '../domain/item/state.js';
import type { ItemFact } from '../domain/webhooks/itemFacts.js';
import { itemFactOf } from '../domain/webhooks/itemFacts.js';
import type { ItemWebhooksEffect } from '../domain/ports/items.js';
import type { WebhookSource } from '../domain/ports/webhooks.js';
import type { ActivityDeps } from './deps.js';
import { askForTransactions, askHealth } from './itemHealth.js';
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
   * episode by itself, without a webhook of a repair, while transactions are refused for want of the user.
   */
  async function healthOf(
    itemId: string,
    webhookFacts: readonly WebhookFact[],
    wasBroken: boolean,
  ): Promise<{ result: Health | null; health: ItemWebhooksEffect['health'] }> {
    const dueAt = new Date(Date.now() + policy.brokenCheck).toISOString();
    // One that an operator replays speaks of the past.
    const revoked = webhookFacts.find(
      ({ fact, source }) => fact?.kind === 'permissionRevoked' && source !== 'replay',
    )?.fact;
    if (revoked?.kind === 'permissionRevoked') {
      return {
        result: 'broken',
        health: { kind: 'broken', seen: null, error: revoked.error, revoked: true, dueAt },
      };
    }
    const asked = webhookFacts.some(({ fact }) => fact !== null && aboutHealth.has(fact.kind));
    const answer = asked ? await askHealth(deps, itemId) : null;
    if (answer === null) return { result: null, health: null };
    const { seen } = answer;
    if (answer.result === 'healthy') {
      const repaired = webhookFacts.some(({ fact }) => fact?.kind === 'repaired');
      const refusal = wasBroken && !repaired ? await askForTransactions(deps, itemId) : null;
      if (refusal === null) return { result: 'healthy', health: { kind: 'healthy', seen } };
      return { result: 'broken', health: { kind: 'broken', seen, error: refusal, revoked: false, dueAt } };
    }
    return {
      result: answer.result,
      health: { kind: 'broken', seen, error: answer.error, revoked: false, dueAt },
    };
  }

  return {
    /**
     * Acts on the waiting webhooks about the Item itself, the oldest 200 at once (`more`: others wait). Where they speak of its
     * health `/item/get` is asked. What they say is stored with their outcomes in one transaction. Safe to repeat.
     */
    async settleItemWebhooks(input: {
      itemId: string;
    }): Promise<{ health: Health | null; numbersDue: boolean; updateDue?: boolean; more: boolean }> {
      const { itemId } = input;
      return untilItStands(async () => {
        const { broken, webhooks, more } = await items.itemWebhooks(itemId, webhooksAtOnce);
        if (webhooks.length === 0) return { health: null, numbersDue: false, more };
        const webhookFacts = webhooks.map(({ body, ...webhook }): WebhookFact => ({
          ...webhook,
          fact: itemFactOf(body),
        }));
        const facts = webhookFacts.map(({ fact }) => fact);
        const { result, health } = await healthOf(itemId, webhookFacts, broken);
        const repaired = broken && result === 'healthy';
        const numbersDue = repaired || facts.some((fact) => fact !== null && aboutNumbers.has(fact.kind));
        const updateDue = facts.some((fact) => fact !== null && aboutAccounts.has(fact.kind));
        const expiries = facts.flatMap((fact) => (fact?.kind === 'consentExpires' ? [fact.at] : []));
        const stands = await items.applyItemWebhooks(itemId, {
          webhooks: webhookFacts.map(({ webhookId, fact }) => ({
            webhookId,
            ignored: reasonToIgnore(fact, broken, result),
          })),
          health,
          consentExpiresAt: expiries.at(-1) ?? null,
          newAccounts: facts.some((fact) => fact?.kind === 'newAccounts'),
          ...ofAccounts(webhookFacts),
          numbersDue,
          updateDue,
        });
        if (!stands) return 'moved';
        return { health: result, numbersDue, ...(updateDue ? { updateDue } : {}), more };
      });
    },
  };
}
