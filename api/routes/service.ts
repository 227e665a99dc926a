import { z } from 'zod';
import type { Api, RouteContext } from '../deps.js';
import { loggedError, Problem } from '../errors.js';
import { problemPage } from '../openapi.js';
import { operation } from '../operation.js';
import { isProblemCode, problemCodes } from '../problems.js';
import { createReadiness } from '../readiness.js';
import { liveAnswer, readyAnswer } from '../schemas/service.js';

declare module 'fastify' {
  interface FastifyContextConfig {
    /** Asked every few seconds by machines: logged at debug level only. */
    quiet?: boolean;
  }
}

const metricsText = z
  .string()
  .meta({ examples: ['# TYPE sluice_api_signals_waiting gauge\nsluice_api_signals_waiting 0\n'] });
const pageText = z.string().meta({ examples: [problemPage('not_found')] });

export function serviceRoutes(app: Api, { probes, metrics, serveMetrics, limits }: RouteContext): void {
  const quiet = <Options extends { config: object }>(options: Options): Options => ({
    ...options,
    config: { ...options.config, quiet: true },
  });

  app.get(
    '/livez',
    quiet(
      operation({
        id: 'isLive',
        summary: 'Whether the process runs',
        tag: 'Service',
        scope: null,
        answers: { 200: { description: 'It does', schema: liveAnswer } },
        problems: [],
      }).with({}),
    ),
    async () => ({ status: 'up' as const }),
  );

  const readiness = createReadiness(probes, limits.askMs, (dependency, error) =>
    app.log.warn({ dependency, ...loggedError(error) }, 'a dependency is down'),
  );

  app.get(
    '/readyz',
    quiet(
      operation({
        id: 'isReady',
        summary: 'Whether it can serve clients, and which dependencies answer',
        description:
          'Cached reads and webhooks need PostgreSQL alone: while Temporal is down this answers 200 and says so.',
        tag: 'Service',
        scope: null,
        answers: { 200: { description: 'It can', schema: readyAnswer } },
        problems: ['not_ready'],
      }).with({}),
    ),
    async () => {
      const { ready, dependencies } = await readiness();
      if (!ready) {
        throw new Problem('not_ready', { members: { dependencies }, retryAfterMs: 5_000 });
      }
      return { status: 'ready' as const, dependencies };
    },
  );

  if (serveMetrics) {
    app.get(
      '/metrics',
      quiet(
        operation({
          id: 'getMetrics',
          summary: 'Metrics for Prometheus',
          tag: 'Service',
          scope: null,
          answers: { 200: { description: 'Metrics', schema: metricsText, contentType: 'text/plain' } },
          problems: ['internal_error'],
        }).with({}),
      ),
      async (_request, reply) => {
        const { contentType, body } = await metrics.text();
        return reply.type(contentType).send(body);
      },
    );
  }

  app.get('/openapi.json', { schema: { hide: true } }, async (_request, reply) =>
    reply.type('application/json').send(JSON.stringify(app.swagger())),
  );

  app.get(
    '/problems/:code',
    operation({
      id: 'getProblemType',
      summary: 'What a problem means',
      description: 'Where `type` of every error leads.',
      tag: 'Service',
      scope: null,
      answers: { 200: { description: 'The page', schema: pageText, contentType: 'text/plain' } },
      problems: ['not_found'],
    }).with({
      params: z.object({
        code: z.string().meta({ description: 'The `code` of a problem', examples: [problemCodes[0]] }),
      }),
    }),
    async (request, reply) => {
      const { code } = request.params;
      if (!isProblemCode(code)) throw new Problem('not_found');
      return reply.type('text/plain; charset=utf-8').send(problemPage(code));
    },
  );
}
