import { createHash } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import type { FastifyRequest } from 'fastify';
import type { z } from 'zod';
import type { Viewer } from '../../domain/exchange/viewer.js';
import { Failure } from '../../domain/failures.js';
import { secretContext } from '../../domain/ids.js';
import { concernsAll, isUnsupported, meaningOf } from '../../domain/plaidErrors.js';
import type { LinkOutcome } from '../../domain/ports/links.js';
import type { ReadStore } from '../../domain/ports/reads.js';
import { callerOf, viewerOf } from '../auth.js';
import { within } from '../deadline.js';
import type { Api, RouteContext } from '../deps.js';
import { Problem, problemOfPlaid, problemOfPlaidError } from '../errors.js';
import { granted, problemOfRefusal } from '../itemAccess.js';
import { alertRefusal } from '../itemAlerts.js';
import { linkMetadataOf } from '../linkMetadata.js';
import { operation } from '../operation.js';
import { grantOf } from '../schemas/grant.js';
import { consentProblems } from '../problems.js';
import { linkBody, linkedAnswer, linkTokenAnswer, linkTokenBody } from '../schemas/links.js';
import { noQuery } from '../schemas/shared.js';
import { userParams } from '../schemas/users.js';

/** The item that a link token in update mode is for. */
type UpdatedItem = NonNullable<Awaited<ReturnType<ReadStore['pickForUpdateMode']>>>;

/** Items that are tried for one token, each a call to Plaid. */
const mostTried = 4;

/** Whether Plaid speaks of this item: another one may get a token. Else Plaid itself is away or busy, or takes nothing of ours. */
const isOfTheItem = (failure: Failure): boolean => {
  const { type, upstream } = failure;
  if (type === 'TOKEN_REFUSED' || type === 'SECRET_UNREADABLE') return true;
  if (upstream === undefined) return false;
  // A code that nobody knows counts as an outage elsewhere.
  if (type === 'UPSTREAM_DOWN') return meaningOf(upstream.error_code) === null;
  return !concernsAll(failure);
};

export function linkRoutes(app: Api, context: RouteContext): void {
  const { plaid, secrets, links, reads, commands, gateway, limits, defaultGrant } = context;

  /** What opens update mode for the item; nothing for a new one. */
  async function updateModeOf(item: UpdatedItem | null, accountSelection: boolean | undefined) {
    if (item === null) return {};
    return {
      accessToken: await secrets.open(item.accessToken, secretContext.accessToken(item.itemId)),
      // Else not unasked: who merely logs in again should not be able to take accounts away by the way.
      accountSelection: accountSelection ?? (item.newAccounts || item.lostAccounts),
      asksConsent: item.asksConsent,
      ...(item.asksNumbers === true ? { asksNumbers: true } : {}),
    };
  }

  async function askFor(userId: string, item: UpdatedItem | null, accountSelection?: boolean) {
    const update = await updateModeOf(item, accountSelection).catch((error: unknown) => {
      // What is stored of this one does not open: no matter of the others.
      if (error instanceof Failure && error.type === 'SECRET_UNREADABLE') return error;
      throw error;
    });
    if (update instanceof Failure) return update;
    const asked = plaid.createLinkToken({ userId, ...update });
    return within(asked, limits.plaidMs, () => new Problem('plaid_timeout')).catch((error: unknown) => {
      if (error instanceof Failure) return error;
      throw error;
    });
  }

  /**
   * The token and the item that it updates; null = a token for a new item. An item that Plaid calls gone is none. Unless an item is named,
   * one that Plaid refuses is passed over: it keeps its user neither from the others nor from a new one.
   */
  async function tokenFor(
    viewer: Viewer,
    userId: string,
    { mode, item_id: named, account_selection }: z.infer<typeof linkTokenBody>,
  ) {
    const tried: string[] = [];
    let refused: Failure | null = null;
    while (mode !== 'create' && tried.length < mostTried) {
      const item = await reads.pickForUpdateMode(viewer, userId, named ?? null, tried);
      if (item === null) break;
      const token = await askFor(userId, item, account_selection);
      if (!(token instanceof Failure)) return { token, item };
      await alertRefusal(context, item.itemId, token);
      const gone = token.type === 'ITEM_GONE' || token.type === 'PERMISSION_REVOKED';
      if (!gone && (named !== undefined || !isOfTheItem(token))) throw problemOfPlaid(token);
      if (!gone) refused ??= token;
      tried.push(item.itemId);
    }
    if (mode === 'update' && tried.length === 0) throw new Problem('no_item');
    if (mode === 'update' && refused !== null) throw problemOfPlaid(refused);
    const token = await askFor(userId, null);
    if (token instanceof Failure) throw problemOfPlaid(token);
    return { token, item: null };
  }

  app.post(
    '/users/:userId/link-token',
    {
      // No body asks for everything by default.
      preValidation: async (request: FastifyRequest) => {
        request.body ??= {};
      },
      ...operation({
        id: 'createLinkToken',
        summary: "A token for Plaid's Link",
        description:
          'When the user has an item that can be updated, the token opens update mode for it: `item_id` of the body, else the item ' +
          'longest in error, else the latest linked healthy one; items that no login mends (`update_mode` of their error is false) are left ' +
          'out, and one that Plaid refuses a token for is passed over unless it is named. Else, or with `{"mode":"create"}`, Link makes a new item. The user ' +
          'exists from here on.',
        tag: 'Users',
        scope: 'write',
        answers: { 200: { description: 'The link token', schema: linkTokenAnswer } },
        problems: [
          'not_found',
          'user_being_erased',
          ...consentProblems,
          'no_item',
          'update_mode_useless',
          'item_id_not_allowed',
          'malformed_json',
          'unsupported_media_type',
          'payload_too_large',
          'plaid_refused',
          'plaid_unreachable',
          'plaid_busy',
          'plaid_timeout',
        ],
      }).with({ params: userParams, querystring: noQuery, body: linkTokenBody }),
    },
    async (request) => {
      const { userId } = request.params;
      const { mode, item_id } = request.body;
      if (mode === 'create' && item_id !== undefined) throw new Problem('item_id_not_allowed');
      const viewer = viewerOf(request);
      const named = item_id === undefined ? null : await reads.item(viewer, item_id, 'command');
      if (named !== null && 'refusal' in named) throw problemOfRefusal(named);
      if (item_id !== undefined && named?.user_id !== userId) {
        throw new Problem('not_found', { detail: 'The user has no such item.' });
      }
      if (mode === 'update' && named?.error && isUnsupported(named.error.error_code)) {
        const { error_type, error_code } = named.error;
        throw new Problem('update_mode_useless', { plaid: { error_type, error_code, request_id: null } });
      }
      const { token, item } = await tokenFor(viewer, userId, request.body);
      if (item !== null) await commands.noteUpdateMode(viewer, item.itemId, item.pickedAt);
      await reads.ensureUser(userId);
      request.answerExpires = token.expiration;
      return {
        link_token: token.link_token,
        expiration: token.expiration,
        ...(item === null ? { mode: 'create' as const } : { mode: 'update' as const, item_id: item.itemId }),
      };
    },
  );

  /** Waits for the link; null when it takes too long. An unreachable Temporal is reported early, not after half a minute. */
  async function outcomeOf(tokenHash: string, userId: string): Promise<LinkOutcome | null> {
    const link = gateway.link(tokenHash, userId, limits.linkMs);
    const silence = gateway.ping().then(
      () => new Promise<never>(() => undefined),
      async (error: unknown) => {
        // The link may get through where a ping did not.
        await sleep(Math.min(limits.askMs, limits.linkMs), undefined, { ref: false });
        throw error;
      },
    );
    return within(
      Promise.race([link, silence]),
      // The gateway bounds the wait itself; this only catches one that does not.
      limits.linkMs + limits.askMs,
      () => new Problem('link_pending'),
    );
  }

  async function linkedItem(viewer: Viewer, outcome: LinkOutcome) {
    switch (outcome.kind) {
      case 'linked': {
        const found = await reads.item(viewer, outcome.item_id, 'item');
        // By update mode nobody is connected with an item any more that is on its way out.
        if (found === null) throw new Problem('item_removed');
        const item = granted(found);
        // What it takes the place of is named to who has, or had, to do with that.
        const knowsOld =
          outcome.replaces !== null && (await reads.item(viewer, outcome.replaces, 'item')) !== null;
        return {
          ...item,
          ...(knowsOld ? { replaces: outcome.replaces } : {}),
          ...(outcome.warnings.length === 0 ? {} : { warnings: outcome.warnings }),
          ...((knowsOld || outcome.joined === true) && outcome.dropped_accounts !== undefined
            ? { dropped_accounts: outcome.dropped_accounts }
            : {}),
          ...(outcome.connection_id === undefined ? {} : { connection_id: outcome.connection_id }),
          ...(outcome.joined === undefined ? {} : { joined: outcome.joined }),
        };
      }
      case 'duplicate':
        throw new Problem('duplicate_item', { members: { item_id: outcome.item_id } });
      case 'invalid_public_token':
        throw new Problem('invalid_public_token', { plaid: outcome.plaid });
      case 'user_being_erased':
        throw new Problem('user_being_erased');
      case 'outcome_unknown':
        throw new Problem('link_outcome_unknown');
      case 'refused':
        throw problemOfPlaidError(outcome.plaid);
    }
  }

  app.post(
    '/users/:userId/items',
    operation({
      id: 'linkItem',
      summary: 'Link an item',
      description:
        'Exchanges the public token, stores the item and starts mining it. The same token again gives the same item (200), and joins ' +
        'a link that is still on its way. A duplicate of an item that the user has is refused, unless `allow_duplicate` is true; a ' +
        'broken one is replaced (`replaces`), and accounts that only it had end with it (`dropped_accounts`). The application is connected ' +
        'with the item by the grant in `connection` (`connection_id`). One of access `connected` for whose public token the user has an ' +
        'item already joins that one (`joined`): no other item is made, nothing is fetched from the bank, and of its accounts those are ' +
        'granted that the user has chosen in this Link; those of this Link that it does not have stand in `dropped_accounts`. `duplicate_item` is for who sees the item already.',
      tag: 'Users',
      scope: 'write',
      answers: {
        200: { description: 'The item, linked before with this token', schema: linkedAnswer },
        201: { description: 'The item, linked now', schema: linkedAnswer },
      },
      problems: [
        'malformed_json',
        'unsupported_media_type',
        'payload_too_large',
        'not_found',
        ...consentProblems,
        'public_token_used',
        'user_being_erased',
        'duplicate_item',
        'item_removed',
        'invalid_public_token',
        'plaid_refused',
        'link_outcome_unknown',
        'plaid_unreachable',
        'institution_unavailable',
        'plaid_busy',
        'orchestrator_down',
        'link_pending',
      ],
    }).with({ params: userParams, querystring: noQuery, body: linkBody }),
    async (request, reply) => {
      const { userId } = request.params;
      const { public_token, main_account_id, allow_duplicate, connection } = request.body;
      const tokenHash = createHash('sha256').update(public_token).digest('hex');
      const row = await links.receive({
        token_hash: tokenHash,
        user_id: userId,
        application_id: callerOf(request).application_id,
        publicToken: await secrets.seal(public_token, secretContext.publicToken(tokenHash)),
        ...linkMetadataOf(request.body),
        main_account_id: main_account_id || null,
        allow_duplicate: allow_duplicate ?? false,
        connection: grantOf(connection ?? {}, defaultGrant),
      });
      if (row === null) throw new Problem('public_token_used');
      const known = row.state === 'finished' ? row.outcome : null;
      const outcome = known ?? (await outcomeOf(tokenHash, userId));
      if (outcome === null) throw new Problem('link_pending');
      const item = await linkedItem(viewerOf(request), outcome);
      if (known !== null) return item;
      return reply
        .code(201)
        .header('location', `/v1/items/${encodeURIComponent(item.item_id)}`)
        .send(item);
    },
  );
}
