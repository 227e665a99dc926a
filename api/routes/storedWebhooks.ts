import type { Api, RouteContext } from '../deps.js';
import { Problem } from '../errors.js';
import { readCursor, writeCursor } from '../lists.js';
import { operation } from '../operation.js';
import { noQuery, webhookAnswer, webhookParams, webhooksAnswer, webhooksQuery } from '../schemas.js';

export function storedWebhookRoutes(app: Api, { webhooks }: RouteContext): void {
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
      const page = await webhooks.page(filter, limit, readCursor(query, cursor));
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
      const webhook = await webhooks.get(request.params.id);
      if (webhook === null) throw new Problem('not_found');
      return webhook;
    },
  );
}
