import { eventTypes } from '../domain/exchange/event.js';
import { describedEvents, eventSchema, exampleEvent } from './schemas/events.js';
import { open } from './tidyOpenapi.js';

const headers = [
  ['webhook-id', 'Id of the event: the same in every try'],
  ['webhook-timestamp', 'Seconds since the epoch of this try'],
  ['webhook-signature', 'Standard Webhooks 1.0.0, over id, timestamp and body'],
] as const;

/** What endpoints are sent, as OpenAPI's `webhooks`: one a type of event. */
export function eventWebhooks(): Record<string, object> {
  const parameters = headers.map(([name, description]) => ({
    name,
    in: 'header',
    required: true,
    description,
    schema: { type: 'string' },
  }));
  return Object.fromEntries(
    eventTypes.map((type) => {
      // Here it stands by itself and needs no name of its own.
      const { $id: _id, $schema: _schema, ...schema } = eventSchema(type);
      const content = { schema: open(schema), examples: { Example: { value: exampleEvent(type) } } };
      const operation = {
        operationId: `on${type.replace(/(^|[._])([a-z])/g, (_match, _before, letter: string) => letter.toUpperCase())}`,
        summary: describedEvents[type].description,
        tags: ['Events'],
        security: [],
        parameters,
        requestBody: { required: true, content: { 'application/json': content } },
        responses: {
          '2XX': { description: 'Taken' },
          '4XX': { description: 'Not taken: tried again, but after 410, which switches the endpoint off' },
        },
      };
      return [type, { post: operation }];
    }),
  );
}
