import { z } from 'zod';
import { Failure } from '../../domain/failures.js';
import { remineWorkflowId } from '../../domain/ids.js';
import { consentOf, failureOfItem, healthOf, tryProducts, verdictOf } from '../../domain/item/health.js';
import { failureTypeOf, isGone, isUnsupported } from '../../domain/plaidErrors.js';
import type { UserActionError } from '../../domain/mining/run.js';
import type { Viewer } from '../../domain/exchange/viewer.js';
import type { ItemSignal } from '../../domain/ports/gateway.js';
import type { ItemView } from '../../domain/ports/reads.js';
import { untilItStands } from '../../domain/untilItStands.js';
import { askItemSurely } from '../askItemSurely.js';
import { allows, callerOf, viewerOf } from '../auth.js';
import type { Api, RouteContext } from '../deps.js';
import { Problem, problemOfPlaid } from '../errors.js';
import { keyedOf } from '../idempotency.js';
import { itemAccess, problemOfRefusal } from '../itemAccess.js';
import { alertRefusal } from '../itemAlerts.js';
import { operation } from '../operation.js';
import { consentProblems } from '../problems.js';
import {
  itemAnswer,
  itemParams,
  loginResetAnswer,
  mainAccountBody,
  remineAnswer,
  removalQuery,
} from '../schemas/items.js';
import { noQuery } from '../schemas/shared.js';

/** What a client may ask of an item. The wish is committed, then the item's workflow is signalled. */
export function itemCommandRoutes(app: Api, context: RouteContext): void {
  const { commands, items, plaid, gateway, limits, brokenCheckMs } = context;
  const { itemOf, tokenOf, askingOf } = itemAccess(context);

  /**
   * What is wrong with the Item, written down; null when it is well. `/item/get` knows nothing of an error that a product call had
   * met: then the products have to work.
   */
  const askedHealth = (viewer: Viewer, item: ItemView): Promise<{ error: UserActionError | null }> =>
    untilItStands(async () => {
      const { token, seen, episodeBy, cursor } = await askingOf(viewer, item, 'command');
      const view = await askItemSurely(context, item.item_id, token).catch(async (failure: unknown) => {
        if (!(failure instanceof Failure)) throw failure;
        await alertRefusal(context, item.item_id, failure);
        throw problemOfPlaid(failure);
      });
      const health = healthOf(view);
      if (health.kind !== 'healthy') await alertRefusal(context, item.item_id, failureOfItem(health.error));
      const consent = consentOf(view);
      const dueAt = new Date(Date.now() + brokenCheckMs).toISOString();
      if (health.kind === 'broken') {
        const { error } = health;
        return (await items.setBroken(item.item_id, seen, error, dueAt, { consent })) ? { error } : 'moved';
      }
      // What was taken back for it is given out once more: one word of `/item/get` alone may be wrong.
      const wasGone = item.error !== null && isGone(failureTypeOf(item.error) ?? 'UPSTREAM_DOWN');
      const asks = episodeBy === 'call' || (episodeBy !== null && (health.kind === 'outage' || wasGone));
      const verdict = asks
        ? verdictOf(health.kind, wasGone ? 'call' : episodeBy, await tryProducts(plaid, token, cursor))
        : { kind: 'healthy' as const };
      switch (verdict.kind) {
        case 'unknown':
          await alertRefusal(context, item.item_id, verdict.failure);
          throw problemOfPlaid(verdict.failure);
        case 'healthy':
          return (await items.setHealthy(item.item_id, seen, consent)) ? { error: null } : 'moved';
        case 'broken': {
          const { error, byCall } = verdict;
          const found = { byCall, consent };
          return (await items.setBroken(item.item_id, seen, error, dueAt, found)) ? { error } : 'moved';
        }
      }
    });

  /** The wish is safe in the database: with Temporal down the sweep signals it later. */
  async function sendSignal(
    { item_id: itemId, user_id }: Pick<ItemView, 'item_id' | 'user_id'>,
    signal: ItemSignal,
  ): Promise<void> {
    await gateway.signalItem(itemId, user_id, signal, limits.signalMs).catch((error: unknown) => {
      const type = error instanceof Failure ? error.type : 'UNEXPECTED';
      // Only an outage ends by itself.
      const level = type === 'ORCHESTRATOR_DOWN' ? 'warn' : 'error';
      app.log[level]({ item_id: itemId, signal: signal.kind, type }, 'left to the sweep');
    });
  }

  app.patch(
    '/items/:itemId',
    operation({
      id: 'changeItem',
      summary: 'Choose the main account',
      description: 'The account must be an open one of the item. Both accounts are sent to the streams.',
      tag: 'Items',
      scope: 'write',
      answers: { 200: { description: 'The item', schema: itemAnswer } },
      problems: ['not_found', ...consentProblems, 'item_removed', 'unknown_account'],
    }).with({ params: itemParams, querystring: noQuery, body: mainAccountBody }),
    async (request) => {
      const { itemId } = request.params;
      const viewer = viewerOf(request);
      const { main_account_id } = request.body;
      const outcome = await commands.setMainAccount(viewer, itemId, main_account_id, keyedOf(request));
      switch (outcome) {
        case 'not_found':
        case 'item_removed':
        case 'unknown_account':
          throw new Problem(outcome);
        case 'done': {
          const item = await itemOf(viewer, itemId, 'command');
          await sendSignal(item, { kind: 'foundDue' });
          return item;
        }
        default:
          throw problemOfRefusal(outcome);
      }
    },
  );

  app.delete(
    '/items/:itemId',
    operation({
      id: 'removeItem',
      summary: 'Remove an item',
      description:
        'Answered when the removal is recorded; from then on nothing more is mined. The item is then removed at Plaid, its ' +
        'access token and numbers are erased, its connections are revoked, and its cached rows stay readable to who sees every item. An ' +
        'application of access `connected` revokes its own connection; the item goes only when no other one is connected with it. ' +
        '`force=true` (scope `admin`) removes it although the user has an active float, and whoever is connected. An item that is ' +
        'removed already, and one that the application has left: 204. Where Plaid has refused the removal so far, a request repeated has it tried anew.',
      tag: 'Items',
      scope: 'write',
      answers: { 204: { description: 'Recorded', schema: z.undefined() } },
      problems: ['not_found', 'active_float'],
    }).with({ params: itemParams, querystring: removalQuery }),
    async (request, reply) => {
      const { itemId } = request.params;
      const { force } = request.query;
      if (force && !allows(callerOf(request).scopes, 'admin')) {
        throw new Problem('insufficient_scope', { detail: 'force=true needs the scope admin.' });
      }
      const item = await itemOf(viewerOf(request), itemId, 'end');
      const outcome = await commands.requestRemoval(itemId, { force, by: callerOf(request) });
      if (outcome === 'not_found') throw new Problem('not_found');
      if (outcome === 'active_float') throw new Problem('active_float');
      // Who asks once more has the pause of what failed ended.
      if (outcome === 'requested' || outcome === 'pending')
        await sendSignal(item, { kind: 'removalRequested' });
      return reply.code(204).send(undefined);
    },
  );

  app.post(
    '/items/:itemId/relinked',
    operation({
      id: 'reportRelinked',
      summary: 'The user has been through update mode',
      description:
        'Plaid is asked how the item is, and for its data where it was those that Plaid had refused: healthy → its error is cleared ' +
        'and it catches up; still broken → 409 `login_required` with its error. When Plaid cannot be asked now, the item asks by itself soon.',
      tag: 'Items',
      scope: 'write',
      answers: { 200: { description: 'The item', schema: itemAnswer } },
      problems: [
        'not_found',
        ...consentProblems,
        'item_removed',
        'login_required',
        'update_mode_useless',
        'plaid_refused',
        'plaid_unreachable',
        'institution_unavailable',
        'plaid_busy',
      ],
    }).with({ params: itemParams, querystring: noQuery }),
    async (request) => {
      const { itemId } = request.params;
      const viewer = viewerOf(request);
      const item = await itemOf(viewer, itemId, 'command');
      // Before Plaid is asked: what others have asked before it is then too old to be written down.
      const noted = await commands.noteRelinked(viewer, itemId, keyedOf(request));
      if (noted === 'not_found') throw new Problem('not_found');
      if (noted !== 'noted') throw problemOfRefusal(noted);
      try {
        const { error } = await askedHealth(viewer, item);
        if (error !== null) {
          const code = isUnsupported(error.error_code) ? 'update_mode_useless' : 'login_required';
          throw new Problem(code, { plaid: { ...error, request_id: null } });
        }
        // The bank had revoked the Item, and gives it again: to the application whose user has been there.
        await commands.resumeConnection(itemId, callerOf(request));
      } finally {
        await sendSignal(item, { kind: 'relinked' });
      }
      return itemOf(viewer, itemId, 'command');
    },
  );

  app.post(
    '/items/:itemId/reset-login',
    operation({
      id: 'resetLogin',
      summary: 'Make the item need its user (sandbox and simulator only)',
      tag: 'Items',
      scope: 'write',
      answers: { 200: { description: 'Plaid has reset the login', schema: loginResetAnswer } },
      problems: [
        'not_found',
        ...consentProblems,
        'item_removed',
        'sandbox_only',
        'plaid_refused',
        'plaid_unreachable',
        'plaid_busy',
      ],
    }).with({ params: itemParams, querystring: noQuery }),
    async (request) => {
      const { itemId } = request.params;
      if (!context.sandbox) throw new Problem('sandbox_only');
      const viewer = viewerOf(request);
      const token = await tokenOf(viewer, await itemOf(viewer, itemId, 'command'), 'command');
      await plaid.resetLogin(token).catch((error: unknown) => {
        throw error instanceof Failure ? problemOfPlaid(error) : error;
      });
      return { item_id: itemId, reset_login: true as const };
    },
  );

  app.post(
    '/items/:itemId/remine',
    operation({
      id: 'remineItem',
      summary: 'Read everything again',
      description:
        'Accounts and transactions are read again from the start and reconciled: what differs is corrected, what Plaid lists ' +
        'no more is set to removed. It begins when the item is healthy and its history complete. One at a time: a second ' +
        'request joins the first. Progress is in `/items/{itemId}/sync`.',
      tag: 'Items',
      scope: 'write',
      answers: { 202: { description: 'Asked for', schema: remineAnswer } },
      problems: ['not_found', ...consentProblems, 'item_removed'],
    }).with({ params: itemParams, querystring: noQuery }),
    async (request, reply) => {
      const { itemId } = request.params;
      const viewer = viewerOf(request);
      const outcome = await commands.requestRemine(viewer, itemId, keyedOf(request));
      if (outcome === 'not_found' || outcome === 'item_removed') throw new Problem(outcome);
      if ('refusal' in outcome) throw problemOfRefusal(outcome);
      const item = await itemOf(viewer, itemId, 'end');
      await sendSignal(item, { kind: 'remineRequested', number: outcome.number });
      return reply.code(202).send({ workflow_id: remineWorkflowId(itemId, outcome.number) });
    },
  );
}
