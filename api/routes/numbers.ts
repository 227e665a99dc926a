import { Failure } from '../../domain/failures.js';
import { secretContext } from '../../domain/ids.js';
import type { PlaidNumbers } from '../../domain/plaid.js';
import { callerOf, viewerOf } from '../auth.js';
import type { Api, RouteContext } from '../deps.js';
import { granted } from '../itemAccess.js';
import { raiseAlerts } from '../itemAlerts.js';
import { operation } from '../operation.js';
import { consentProblems } from '../problems.js';
import { itemParams } from '../schemas/items.js';
import { numbersAnswer } from '../schemas/numbers.js';
import { noQuery } from '../schemas/shared.js';

/** The one door through which account and routing numbers leave, decrypted. */
export function numberRoutes(app: Api, context: RouteContext): void {
  const { numbers, reads, secrets } = context;

  app.get(
    '/items/:itemId/numbers',
    operation({
      id: 'readNumbers',
      summary: 'Account and routing numbers, for payments',
      description:
        'Decrypted. Every read is written to an audit table, with the key and the request id, before it is answered. ' +
        'Numbers of closed and revoked accounts, and of an item that is to be removed, are withheld. An account that Plaid has not ' +
        'verified has none (`missing`); they are asked for again at `next_read_at`. What is stored of one account and cannot be decrypted is ' +
        'withheld (`unreadable`), and the numbers of the others are given. An account with a tokenized number must be paid with the ' +
        'routing number beside it.',
      tag: 'Items',
      scope: 'numbers',
      answers: { 200: { description: 'Numbers by account', schema: numbersAnswer } },
      problems: ['not_found', ...consentProblems],
    }).with({ params: itemParams, querystring: noQuery }),
    async (request) => {
      const { itemId } = request.params;
      const { key_id } = callerOf(request);
      const reader = { key_id, request_id: request.id };
      const viewer = viewerOf(request);
      const read = granted(await numbers.read(viewer, itemId, reader));
      const unreadable: string[] = [];
      const opened = await Promise.all(
        read.numbers.map(async ({ accountId, asOf, sealed }) => {
          const text = await secrets
            .open(sealed, secretContext.accountNumbers(itemId, accountId))
            .catch((error: unknown) => {
              // Changed bytes, or a key that is missing: no matter of the other accounts.
              if (error instanceof Failure && error.type === 'SECRET_UNREADABLE') return null;
              throw error;
            });
          if (text === null) {
            unreadable.push(accountId);
            return [];
          }
          const kinds = JSON.parse(text) as Omit<PlaidNumbers, 'account_id'>;
          return [{ account_id: accountId, as_of: asOf, ...kinds }];
        }),
      );
      if (unreadable.length > 0) {
        const alert = { kind: 'numbers_unreadable', key: `${itemId}/stored`, item_id: itemId } as const;
        await raiseAlerts(context, itemId, [{ ...alert, detail: { account_ids: unreadable.sort() } }]);
      }
      // The keys may have been waited for: what is granted no more by now is not given.
      const { accountIds } = granted(await reads.bounds(viewer, itemId, 'numbers'));
      const given = opened.flat().filter((one) => accountIds === null || accountIds.includes(one.account_id));
      const withheld = [
        ...read.withheld.map(({ accountId, reason }) => ({ account_id: accountId, reason })),
        ...unreadable.map((account_id) => ({ account_id, reason: 'unreadable' as const })),
      ];
      const missing = read.missing.map(({ accountId, reason, errorCode }) => ({
        account_id: accountId,
        reason,
        error_code: errorCode,
      }));
      return { item_id: itemId, numbers: given, withheld, missing, next_read_at: read.nextReadAt };
    },
  );
}
