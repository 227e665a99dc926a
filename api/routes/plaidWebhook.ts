import type { IncomingHttpHeaders, IncomingMessage } from 'node:http';
import { z } from 'zod';
import type { Api } from '../deps.js';
import { loggedError, Problem } from '../errors.js';
import type { Intake } from '../intake.js';
import { operation } from '../operation.js';

const bodyLimit = 1024 * 1024;

const anyWebhook = z.any().meta({
  description: "Plaid's webhook, any JSON",
  examples: [
    {
      webhook_type: 'TRANSACTIONS',
      webhook_code: 'SYNC_UPDATES_AVAILABLE',
      item_id: 'Ed6bjNrDLJfGvZWwnkQlfxwoNz54B5C97ejBr',
      initial_update_complete: true,
      historical_update_complete: false,
      environment: 'production',
    },
  ],
});

const empty = Buffer.alloc(0);

/** Plaid's webhooks. No key: the signature speaks. Lives in a scope of its own, since it needs the bytes as they came. */
export function plaidWebhookRoute(app: Api, intake: Intake): void {
  app.removeAllContentTypeParsers();
  app.addContentTypeParser('*', { parseAs: 'buffer', bodyLimit }, (_request, body, done) => done(null, body));
  const received = new WeakMap<IncomingMessage, IncomingHttpHeaders>();
  // The signature covers the bytes, whatever they are called: a header that Fastify cannot read must not decide.
  app.addHook('onRequest', async (request) => {
    received.set(request.raw, { ...request.raw.headers });
    request.raw.headers['content-type'] &&= 'application/octet-stream';
  });

  const described = operation({
    id: 'receivePlaidWebhook',
    summary: 'Webhooks from Plaid',
    description:
      'Verified on the bytes of the body before it is read; stored and committed before it is answered; acted on afterwards.',
    tag: 'Webhooks',
    scope: null,
    answers: { 200: { description: 'Stored', schema: z.object({}).meta({ examples: [{}] }) } },
    problems: [
      'webhook_rejected',
      'payload_too_large',
      'webhook_keys_busy',
      'internal_error',
      'webhook_undecided',
      'unavailable',
    ],
  }).with({ body: anyWebhook });
  app.post(
    '/webhooks/plaid',
    {
      ...described,
      bodyLimit,
      schema: { ...described.schema, security: [{ PlaidSignature: [] }] },
    },
    async (request) => {
      const body = request.body instanceof Buffer ? request.body : empty;
      const headers = received.get(request.raw) ?? {};
      const answer = await intake.receive(headers, body, request.ip).catch((error: unknown) => {
        request.log.error(loggedError(error), 'webhook not stored');
        // Whatever failed, nothing is certain: Plaid delivers again after anything but 200.
        throw new Problem('unavailable', { retryAfterMs: 30_000, cause: error });
      });
      switch (answer.kind) {
        case 'stored':
          request.log.debug({ webhook_id: answer.webhookId }, 'webhook stored');
          return {};
        case 'rejected':
          throw new Problem('webhook_rejected');
        case 'undecided':
          throw answer.retryAfterMs === null
            ? new Problem('webhook_undecided')
            : new Problem('webhook_keys_busy', { retryAfterMs: answer.retryAfterMs });
      }
    },
  );
}
