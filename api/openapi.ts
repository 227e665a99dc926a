import swagger from '@fastify/swagger';
import swaggerUi from '@fastify/swagger-ui';
import { jsonSchemaTransform, jsonSchemaTransformObject } from 'fastify-type-provider-zod';
import type { Api } from './deps.js';
import { eventWebhooks } from './eventWebhooks.js';
import { problemTypes } from './problems.js';
import { policyOfDocs } from './securityHeaders.js';
import { tidyOpenapi } from './tidyOpenapi.js';

const description = `Links bank accounts through Plaid, keeps their transactions, and serves them.

- **Keys.** \`Authorization: Bearer <key>\`. A key carries scopes; \`admin\` implies \`read\` and \`write\`, never \`numbers\`.
- **Errors** are \`application/problem+json\` (RFC 9457) with a \`code\`; \`type\` leads to a page about it. Any operation may answer 400 for
  what its schema refuses, 401, 403, 429, 500 and 503.
- **Limits.** Each key has a number of requests a minute: \`RateLimit-Policy: "key";q=1200;w=60\` and \`RateLimit: "key";r=1199;t=60\` (what is left, and the
  seconds until it is whole again) come with every answer, \`Retry-After\` with a 429.
- **Lists** are \`{data, next_cursor, has_more, meta}\`. A cursor continues the list and filters that it came from. It is a place in the list's order and no
  copy of the list: a row whose place changes while a client pages (a transaction whose date Plaid corrects, say) may stand on none of the pages, or on
  two. Who must not miss a change reads the streams, where each comes in the order of its \`sequence\`.
- **Idempotency.** Every POST, PATCH and DELETE takes \`Idempotency-Key\`. The same key with the same query and body (byte for byte) gets the
  first answer again, for 24 hours, with \`Idempotency-Replayed: true\`; a link token only while it is valid. With another query or body: 422.
  While the first request runs: 409; after 60 s a repeat takes it over. Kept per application, method and path. What may pass by itself
  (401, 403, 408, 424, 429, 5xx, and \`login_required\`) is not kept: the repeat runs.
- **Completeness.** Cached answers about items say in \`meta.items\` how far each one is, so that "not fetched yet" is never taken for "empty".
- \`X-Request-Id\` (up to 128 visible ASCII characters) is taken over from the request, else made, and comes back with every answer.`;

/** Registers the description of the API; routes registered afterwards appear in it. */
export function openapi(app: Api, version: string): void {
  void app.register(swagger, {
    openapi: {
      openapi: '3.1.0',
      info: { title: 'Sluice', version, description, license: { name: 'MIT', identifier: 'MIT' } },
      servers: [{ url: '/', description: 'The service that shows this document' }],
      tags: [
        { name: 'Users', description: 'Users, by your own ids, and everything over all their items' },
        { name: 'Items', description: "One item: a user's login at one bank" },
        { name: 'Connections', description: 'Which application may read which item' },
        { name: 'Institutions', description: 'Banks, as Plaid lists them' },
        { name: 'Webhooks', description: 'What Plaid sent' },
        { name: 'Endpoints', description: 'Where applications are sent events' },
        { name: 'Events', description: 'What applications are told of items and connections' },
        { name: 'Access', description: 'Applications and their keys' },
        { name: 'Service', description: 'Health and description of this service' },
      ],
      components: {
        securitySchemes: {
          ApiKey: { type: 'http', scheme: 'bearer', description: 'An API key; roles are its scopes' },
          PlaidSignature: {
            type: 'apiKey',
            in: 'header',
            name: 'Plaid-Verification',
            description: "Plaid's signed JWT over the body's SHA-256",
          },
        },
      },
    },
    transform: jsonSchemaTransform,
    transformObject: (document) => ({
      ...tidyOpenapi(jsonSchemaTransformObject(document)),
      webhooks: eventWebhooks(),
    }),
  });
  void app.register(swaggerUi, {
    routePrefix: '/docs',
    staticCSP: policyOfDocs,
    // Without the last the page would ask a server elsewhere to judge the document.
    uiConfig: { docExpansion: 'list', validatorUrl: null },
    theme: { title: 'Sluice API' },
  });
}

/** The page of one problem type, as text. */
export function problemPage(code: keyof typeof problemTypes): string {
  const { status, title, help } = problemTypes[code];
  return `${title}\n\ncode: ${code}\nstatus: ${status}\n\n${help}\n`;
}
