import Fastify, { type FastifyInstance } from 'fastify';
import { answerControlErrors } from './controls/control.js';
import { bankControls } from './controls/bankControls.js';
import { churnControls } from './controls/churnControls.js';
import { faultControls } from './controls/faultControls.js';
import { institutionControls } from './controls/institutionControls.js';
import { itemControls } from './controls/itemControls.js';
import { linkControls } from './controls/linkControls.js';
import { productControls } from './controls/productControls.js';
import { shapeControls } from './controls/shapeControls.js';
import { webhookControls } from './controls/webhookControls.js';
import { worldControls } from './controls/worldControls.js';
import { PlaidApiError } from './errors.js';
import { requestId } from './ids.js';
import { linkPages } from './link/linkPages.js';
import { overviewRoutes } from './overview/overviewRoutes.js';
import { accountRoutes } from './routes/accountRoutes.js';
import { applicationRoutes } from './routes/applicationRoutes.js';
import { assetReportRoutes } from './routes/assetReportRoutes.js';
import { categoryRoutes } from './routes/categoryRoutes.js';
import { enrichRoutes } from './routes/enrichRoutes.js';
import { exchangeRoutes } from './routes/exchangeRoutes.js';
import { institutionRoutes } from './routes/institutionRoutes.js';
import { investmentRoutes } from './routes/investmentRoutes.js';
import { itemRoutes } from './routes/itemRoutes.js';
import { liabilityRoutes } from './routes/liabilityRoutes.js';
import { linkRoutes } from './routes/linkRoutes.js';
import { recurringRoutes } from './routes/recurringRoutes.js';
import { sandboxRoutes } from './routes/sandboxRoutes.js';
import { transactionRoutes } from './routes/transactionRoutes.js';
import { webhookEventRoutes } from './routes/webhookEventRoutes.js';
import { webhookKeyRoutes } from './routes/webhookKeyRoutes.js';
import type { World } from './world.js';

/** Controls may change many thousand transactions in one request. */
const BODY_LIMIT = 64 * 1024 * 1024;

/** The HTTP surface of a world: Plaid's API at the root, the controls under `/_sim`. */
export function buildApp(world: World, onError: (error: unknown) => void): FastifyInstance {
  const app = Fastify({
    bodyLimit: BODY_LIMIT,
    // The official client, given a base URL that ends in a slash, sends `//path`.
    routerOptions: { ignoreTrailingSlash: true, ignoreDuplicateSlashes: true },
    forceCloseConnections: true,
  });

  app.removeAllContentTypeParsers();
  app.addContentTypeParser('application/json', { parseAs: 'string' }, (_request, text, done) => {
    if (text === '') return done(null, {});
    try {
      const body: unknown = JSON.parse(String(text));
      done(null, body);
    } catch {
      done(new PlaidApiError('INVALID_BODY'));
    }
  });

  app.setErrorHandler((error, _request, reply) => {
    const known =
      error instanceof PlaidApiError
        ? error
        : (error as { code?: string }).code === 'FST_ERR_CTP_INVALID_MEDIA_TYPE'
          ? new PlaidApiError('INVALID_HEADERS')
          : (error as { statusCode?: number }).statusCode === undefined
            ? new PlaidApiError('INTERNAL_SERVER_ERROR')
            : new PlaidApiError('INVALID_BODY');
    if (known.code === 'INTERNAL_SERVER_ERROR') onError(error);
    return reply.code(known.status).send(known.body(requestId()));
  });
  app.setNotFoundHandler((_request, reply) => {
    const error = new PlaidApiError('NOT_FOUND');
    return reply.code(error.status).send(error.body(requestId()));
  });

  for (const routes of [
    linkRoutes,
    itemRoutes,
    accountRoutes,
    transactionRoutes,
    recurringRoutes,
    categoryRoutes,
    enrichRoutes,
    investmentRoutes,
    liabilityRoutes,
    assetReportRoutes,
    institutionRoutes,
    webhookKeyRoutes,
    sandboxRoutes,
    exchangeRoutes,
    applicationRoutes,
    webhookEventRoutes,
  ]) {
    routes(app, world);
  }
  overviewRoutes(app, world);
  app.register(async (controls) => {
    answerControlErrors(controls);
    for (const routes of [
      worldControls,
      itemControls,
      bankControls,
      webhookControls,
      institutionControls,
      faultControls,
      linkControls,
      churnControls,
      shapeControls,
      productControls,
    ]) {
      routes(controls, world);
    }
  });
  app.register(async (pages) => linkPages(pages, world));
  return app;
}
