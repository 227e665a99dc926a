import { readFileSync } from 'node:fs';
import type { FastifyInstance } from 'fastify';
import type { World } from '../world.js';
import { overviewPage } from './page.js';

const asset = (name: string) => readFileSync(new URL(`./assets/${name}`, import.meta.url), 'utf8');
const SCRIPT = asset('overview.js');
const STYLE = asset('overview.css');

/** Nothing but this server's own script and style runs on the page, and no other page shows it in a frame. */
const POLICY = [
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'self'",
  "connect-src 'self'",
  "form-action 'self'",
  "base-uri 'none'",
  "frame-ancestors 'none'",
].join('; ');

/** `GET /_sim`: the world for people to look at. */
export function overviewRoutes(app: FastifyInstance, world: World): void {
  app.get<{ Querystring: Record<string, string | string[] | undefined> }>('/_sim', async (request, reply) => {
    const { page, q } = request.query;
    const wanted = Number(page);
    return reply
      .headers({
        'content-security-policy': POLICY,
        'x-content-type-options': 'nosniff',
        'referrer-policy': 'no-referrer',
        'cache-control': 'no-store',
      })
      .type('text/html; charset=utf-8')
      .send(
        overviewPage(world, {
          page: Number.isInteger(wanted) && wanted > 0 ? wanted : 1,
          search: typeof q === 'string' ? q.trim() : '',
        }),
      );
  });
  app.get('/_sim/overview.js', async (_request, reply) =>
    reply.type('text/javascript; charset=utf-8').send(SCRIPT),
  );
  app.get('/_sim/overview.css', async (_request, reply) => reply.type('text/css; charset=utf-8').send(STYLE));
}
