import { viewerOf } from '../auth.js';
import type { Api, RouteContext } from '../deps.js';
import { Problem } from '../errors.js';
import { effectIdOf } from '../idempotency.js';
import { readCursor, writeCursor } from '../lists.js';
import { operation } from '../operation.js';
import type { SignalQueue } from '../signalQueue.js';
import { noQuery } from '../schemas/shared.js';
import { webhookAnswer, webhookParams, webhooksAnswer, webhooksQuery } from '../schemas/webhooks.js';

export function storedWebhookRoutes(
  app: Api,
  { webhooks }: RouteContext,
  signals: Pick<SignalQueue, 'offer'>,
): void {
  app.get(
    '/webhooks',
    operation({
      id: 'listWebhooks',
      summary: 'Stored webhooks, newest first',
      description: 'Rejected ones are kept in bounded form: the newest 10,000, up to 4 KiB of each body.',
      tag: 'Webhooks',
      scope: 'admin',
      answers: { 200: { description: 'A page of webhooks', schema: webhooksAnswer } },
      problems: ['invalid_cursor'],
    }).with({ querystring: webhooksQuery }),
    async (request) => {
      const { limit, cursor, ...filter } = request.query;
      const query = { list: 'webhooks', filters: filter };
      const page = await webhooks.page(viewerOf(request), filter, limit, readCursor(query, cursor));
      const next = writeCursor(query, page.next);
      return { data: page.rows, next_cursor: next, has_more: next !== null, meta: {} };
    },
  );

  app.get(
    '/webhooks/:id',
    operation({
      id: 'getWebhook',
      summary: 'A stored webhook',
      tag: 'Webhooks',
      scope: 'admin',
      answers: { 200: { description: 'The webhook', schema: webhookAnswer } },
      problems: ['not_found'],
    }).with({ params: webhookParams, querystring: noQuery }),
    async (request) => {
      const webhook = await webhooks.get(viewerOf(request), request.params.id);
      if (webhook === null) throw new Problem('not_found');
      return webhook;
    },
  );

  app.post(
    '/webhooks/:id/replay',
    operation({
      id: 'replayWebhook',
      summary: 'Act on a stored webhook once more',
      description:
        'Accepted ones only. A copy with source `replay` is stored and takes the normal way into its item: it is read again, ' +
        'so that nothing is doubled.',
      tag: 'Webhooks',
      scope: 'admin',
      answers: { 202: { description: 'The copy', schema: webhookAnswer } },
      problems: ['not_found', 'replay_refused'],
    }).with({ params: webhookParams, querystring: noQuery }),
    async (request, reply) => {
      const replayed = await webhooks.replay(viewerOf(request), request.params.id, effectIdOf(request));
      if (replayed === 'not_found') throw new Problem('not_found');
      if (replayed === 'rejected' || replayed === 'acted_on') throw new Problem('replay_refused');
      const { webhookId, itemId, kind } = replayed;
      if (itemId !== null && kind !== null) signals.offer({ webhookId, itemId, kind });
      const stored = await webhooks.get(viewerOf(request), webhookId);
      if (stored === null) throw new Problem('not_found');
      return reply.code(202).send(stored);
    },
  );
}
