import { randomUUID } from 'node:crypto';
import type { IncomingMessage } from 'node:http';
import helmet from '@fastify/helmet';
import Fastify, { LogController } from 'fastify';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { serializerCompiler } from 'fastify-type-provider-zod';
import type { ZodTypeProvider } from 'fastify-type-provider-zod';
import { Failure } from '../domain/failures.js';
import { authenticate } from './auth.js';
import { createBrokenRequests } from './brokenRequests.js';
import { within } from './deadline.js';
import type { Api, ApiDeps, RouteContext } from './deps.js';
import { defaultLimits } from './deps.js';
import { loggedError, Problem, problemOf } from './errors.js';
import { createEventWaits } from './eventWaits.js';
import { bareForwardedFor } from './forwardedFor.js';
import { hashBody, idempotency } from './idempotency.js';
import { createIntake } from './intake.js';
import { createLiveReads } from './liveReads.js';
import { registerFigures } from './figures.js';
import { apiMetrics } from './metrics.js';
import { methodTable } from './methodTable.js';
import { openapi } from './openapi.js';
import { shedLoad } from './pressure.js';
import { createLimiter, registerRateLimit } from './rateLimit.js';
import { targetOf } from './requestHead.js';
import { accessRoutes } from './routes/access.js';
import { connectionRoutes } from './routes/connections.js';
import { deliveryRoutes } from './routes/deliveries.js';
import { endpointRoutes } from './routes/endpoints.js';
import { changeRoutes } from './routes/changes.js';
import { eventRoutes } from './routes/events.js';
import { erasureRoutes } from './routes/erasures.js';
import { floatRoutes } from './routes/floats.js';
import { institutionRoutes } from './routes/institutions.js';
import { itemRoutes } from './routes/items.js';
import { linkRoutes } from './routes/link.js';
import { liveRoutes } from './routes/live.js';
import { itemCommandRoutes } from './routes/itemCommands.js';
import { numberRoutes } from './routes/numbers.js';
import { loginRoutes } from './routes/logins.js';
import { portalRoutes } from './routes/portal.js';
import { portalSessionRoutes } from './routes/portalSessions.js';
import { serviceRoutes } from './routes/service.js';
import { userExportRoutes } from './routes/userExport.js';
import { userRoutes } from './routes/users.js';
import { plaidWebhookRoute } from './routes/plaidWebhook.js';
import { storedWebhookRoutes } from './routes/storedWebhooks.js';
import { securityHeaders } from './securityHeaders.js';
import { createSignalQueue } from './signalQueue.js';
import { validatorCompiler } from './validate.js';

const bodyLimit = 256 * 1024;
/** 256 characters of four bytes, each written as `%XX`, with room to refuse what is longer by name. */
const maxParamLength = 4_096;
/**
 * Node takes the longer of its two time-outs for the whole request. With its default of 60 s for the head, a body that drips in
 * was hung up on after 60 to 90 s. And it checks only every 30 s.
 */
const httpOptions = (requestMs: number) => ({
  headersTimeout: requestMs,
  connectionsCheckingInterval: Math.ceil(requestMs / 6),
  // Node would refuse it without a body; `requestHead.ts` says what is wrong.
  requireHostHeader: false,
});

const visible = /^[\x21-\x7e]{1,128}$/;

function requestIdOf(raw: IncomingMessage): string {
  const given = raw.headers['x-request-id'];
  return typeof given === 'string' && visible.test(given) ? given : randomUUID();
}

/** The path without the query: query values never reach a log or an answer. */
const pathOf = (url: string): string => targetOf(url).split('?', 1)[0] ?? '/';

function sendProblem(problem: Problem, request: FastifyRequest, reply: FastifyReply): FastifyReply {
  request.problem = problem.code;
  return reply
    .code(problem.statusCode)
    .headers(problem.headers())
    .type('application/problem+json')
    .send(problem.body(pathOf(request.url), request.id));
}

/**
 * The REST API and the webhook intake. Listens to nothing by itself: the entry point calls `listen`, tests `inject`.
 * `close` drains the signals behind stored webhooks before it resolves.
 */
export function buildApp(deps: ApiDeps): FastifyInstance {
  const limits = { ...defaultLimits, ...deps.limits };
  const liveReads = createLiveReads(limits.liveReads);
  const eventWaits = createEventWaits(() => deps.events.newest(), {
    atOnce: limits.eventWaits,
    everyMs: limits.eventPollMs,
  });
  const elapsed = deps.elapsed ?? (() => performance.now());
  const context: RouteContext = { ...deps, limits, liveReads, eventWaits, elapsed };

  const broken = createBrokenRequests();

  const app: Api = Fastify({
    loggerInstance: deps.logger,
    // One line of our own per request: Fastify's would hold the address with its query.
    logController: new LogController({ disableRequestLogging: true, requestIdLogLabel: 'request_id' }),
    requestIdHeader: false,
    genReqId: requestIdOf,
    bodyLimit,
    trustProxy: deps.trustedProxies === undefined ? false : [...deps.trustedProxies],
    requestTimeout: limits.requestMs,
    http: httpOptions(limits.requestMs),
    routerOptions: { maxParamLength },
    // While closing, requests on open connections are answered, not refused: a rolling restart fails nobody.
    return503OnClosing: false,
    clientErrorHandler: broken.answer,
    frameworkErrors: (error, request, reply) => {
      void reply.headers({ ...securityHeaders, 'x-request-id': request.id });
      void sendProblem(problemOf(error), request, reply);
    },
  }).withTypeProvider<ZodTypeProvider>();

  // Node answers an expectation that it does not know with 417 and no body; it may be passed over (RFC 9110, 10.1.1).
  app.server.on('checkExpectation', (request, response) => app.server.emit('request', request, response));
  // Their size bounds them. Node would pass over what stands behind the 2,000th, where a proxy may have put the client's address.
  app.server.maxHeadersCount = 0;
  app.setValidatorCompiler(validatorCompiler);
  app.setSerializerCompiler(serializerCompiler);
  app.decorateRequest('caller', null);
  app.decorateRequest('problem', null);
  app.removeContentTypeParser('text/plain');
  const parseJson = app.getDefaultJsonParser('error', 'error');
  app.addContentTypeParser('application/json', { parseAs: 'string' }, (request, body, done) => {
    hashBody(request, body as string);
    // Clients announce JSON and send nothing where every field is optional: that is no body, not a broken one.
    if (body === '') done(null, undefined);
    else void parseJson(request, body as string, done);
  });

  const metrics = apiMetrics(deps.metrics, () => signals.waiting());
  registerFigures(deps.metrics, deps.figures, elapsed);
  const onFailure = (error: unknown): void =>
    deps.logger.warn(loggedError(error), 'background work of intake failed');
  const signals = createSignalQueue(
    { webhooks: deps.webhooks, gateway: deps.gateway, metrics, onFailure },
    { capacity: limits.signalsWaiting, concurrency: limits.signalsAtOnce, deadlineMs: limits.signalMs },
  );
  const intake = createIntake(
    {
      verifier: deps.verifier,
      webhooks: deps.webhooks,
      alerts: deps.alerts,
      signals,
      metrics,
      onFailure,
      elapsed,
    },
    { stepMs: limits.intakeMs, rejectedPerSecond: 10 },
  );
  app.addHook('onClose', async () => {
    await signals.drain(limits.drainMs);
    await within(intake.settled(), limits.drainMs, () => new Error('late')).catch(onFailure);
  });

  let closing = false;
  app.addHook('preClose', async () => {
    closing = true;
    liveReads.stop(limits.drainMs);
    eventWaits.stop();
  });
  app.addHook('onSend', async (_request, reply) => {
    // A connection that is kept open after its last answer would hold up the shutdown until it times out (72 s).
    if (closing) void reply.header('connection', 'close');
  });

  const methods = methodTable();
  app.addHook('onRoute', (route) => methods.add(route.url, route.method));

  app.addHook('onRequest', async (request, reply) => {
    bareForwardedFor(request.raw.headers);
    void reply.headers({ ...securityHeaders, 'x-request-id': request.id });
    broken.began(request.raw, reply.raw);
    // Answered here, before a body of whatever type is read.
    if (request.is404) throw methods.problemFor(pathOf(request.url));
  });
  app.setNotFoundHandler(() => {
    throw new Problem('not_found');
  });

  app.setErrorHandler((error, request, reply) => {
    const problem = problemOf(error);
    if (problem.statusCode >= 500) request.log.error(loggedError(problem), 'request failed');
    // A value that only the database refuses is one that our own schemas should have refused.
    else if (problem.options.cause instanceof Failure)
      request.log.warn(loggedError(problem), 'request refused');
    return sendProblem(problem, request, reply);
  });

  app.addHook('onResponse', async (request, reply) => {
    // The pattern, not the path: ids of users stay out of metrics, and an attacker cannot invent labels.
    const route = request.is404 ? 'unmatched' : (request.routeOptions.url ?? 'unmatched');
    const line = {
      method: request.method,
      route,
      status: reply.statusCode,
      duration_ms: Math.round(reply.elapsedTime * 10) / 10,
      ...(request.problem === null ? {} : { problem: request.problem }),
      ...(request.caller === null
        ? {}
        : { application_id: request.caller.application_id, key_id: request.caller.key_id }),
      // Of who guesses. Users at the portal are nobody's business: their tries are 404.
      ...(reply.statusCode === 401 ? { address: request.ip } : {}),
    };
    metrics.request(
      { method: request.is404 ? 'other' : request.method, route, status: String(reply.statusCode) },
      reply.elapsedTime / 1000,
    );
    if (request.routeOptions.config.quiet === true) request.log.debug(line, 'request');
    else request.log.info(line, 'request');
  });

  void app.register(helmet, { contentSecurityPolicy: false });
  openapi(app, deps.version);
  registerRateLimit(app, elapsed);

  // Registered by hand, in a plugin each: hooks and parsers of one do not reach the others.
  void app.register(async (scope: Api) => serviceRoutes(scope, context));
  void app.register(async (scope: Api) => plaidWebhookRoute(scope, intake));
  void app.register(
    async (scope: Api) => {
      await shedLoad(scope, limits.eventLoopDelayMs);
      portalRoutes(scope, context, createLimiter(scope, limits.requestsPerMinute, elapsed));
    },
    { prefix: '/portal' },
  );
  void app.register(
    async (scope: Api) => {
      // Clients alone: Plaid's webhooks and the probes come before them.
      await shedLoad(scope, limits.eventLoopDelayMs);
      const limiter = createLimiter(scope, limits.requestsPerMinute, elapsed);
      scope.addHook('onRequest', authenticate(deps.applications, limiter));
      idempotency(scope, context);
      userRoutes(scope, context);
      erasureRoutes(scope, context);
      userExportRoutes(scope, context);
      linkRoutes(scope, context);
      floatRoutes(scope, context);
      loginRoutes(scope, context);
      itemRoutes(scope, context);
      connectionRoutes(scope, context);
      portalSessionRoutes(scope, context);
      changeRoutes(scope, context);
      liveRoutes(scope, context);
      institutionRoutes(scope, context);
      itemCommandRoutes(scope, context);
      numberRoutes(scope, context);
      eventRoutes(scope, context);
      storedWebhookRoutes(scope, context, signals);
      endpointRoutes(scope, context);
      deliveryRoutes(scope, context);
      accessRoutes(scope, context);
    },
    { prefix: '/v1' },
  );
  return app;
}
