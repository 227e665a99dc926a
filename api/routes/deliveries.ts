import { callerOf } from '../auth.js';
import type { Api, RouteContext } from '../deps.js';
import { Problem } from '../errors.js';
import { keyedOf } from '../idempotency.js';
import { operation } from '../operation.js';
import { deliveryParams, deliveryWithAttempts } from '../schemas/endpoints.js';
import { noQuery } from '../schemas/shared.js';

/** One event for one endpoint of the application. */
export function deliveryRoutes(app: Api, { deliveries }: RouteContext): void {
  async function read(applicationId: string, deliveryId: string) {
    const found = await deliveries.get(applicationId, deliveryId);
    if (found === null) throw new Problem('not_found');
    return { ...found.delivery, tries: found.tries };
  }

  app.get(
    '/deliveries/:id',
    operation({
      id: 'getDelivery',
      summary: 'A delivery with its attempts',
      tag: 'Endpoints',
      scope: 'read',
      answers: { 200: { description: 'The delivery', schema: deliveryWithAttempts } },
      problems: ['not_found'],
    }).with({ params: deliveryParams, querystring: noQuery }),
    async (request) => read(callerOf(request).application_id, request.params.id),
  );

  app.post(
    '/deliveries/:id/resend',
    operation({
      id: 'resendDelivery',
      summary: 'Send an event once more',
      description:
        'Whatever became of it: at once, and with all attempts of the schedule. The `webhook-id` stays.',
      tag: 'Endpoints',
      scope: 'write',
      answers: { 202: { description: 'The delivery', schema: deliveryWithAttempts } },
      problems: ['not_found'],
    }).with({ params: deliveryParams, querystring: noQuery }),
    async (request, reply) => {
      const { application_id } = callerOf(request);
      const { id } = request.params;
      if (!(await deliveries.resend(application_id, id, keyedOf(request)))) throw new Problem('not_found');
      return reply.code(202).send(await read(application_id, id));
    },
  );
}
