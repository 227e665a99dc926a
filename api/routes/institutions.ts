import { Failure } from '../../domain/failures.js';
import type { Api, RouteContext } from '../deps.js';
import { Problem, problemOfPlaid } from '../errors.js';
import { readCursor, sendList } from '../lists.js';
import { operation } from '../operation.js';
import {
  institutionAnswer,
  institutionParams,
  institutionsAnswer,
  institutionsQuery,
  liveInstitutionAnswer,
} from '../schemas/institutions.js';
import { noQuery } from '../schemas/shared.js';

export function institutionRoutes(app: Api, { institutions, live, liveReads }: RouteContext): void {
  app.get(
    '/institutions',
    operation({
      id: 'listInstitutions',
      summary: 'Institutions, as cached by the scheduled sync',
      description:
        'In the order of their names, of the configured countries. `meta.as_of` says when the cache was last written; null: ' +
        'no sync has run yet, and an empty list means nothing.',
      tag: 'Institutions',
      scope: 'read',
      answers: { 200: { description: 'A page of institutions', schema: institutionsAnswer } },
      problems: ['invalid_cursor'],
    }).with({ querystring: institutionsQuery }),
    async (request, reply) => {
      const { limit, cursor, ...filter } = request.query;
      const query = { list: 'institutions', filters: filter };
      const after = readCursor(query, cursor);
      const [page, as_of] = await Promise.all([institutions.page(filter, limit, after), institutions.asOf()]);
      return sendList(reply, query, page, { as_of });
    },
  );

  app.get(
    '/institutions/:institutionId',
    operation({
      id: 'getInstitution',
      summary: 'An institution, as cached',
      description:
        "Connection status (`status`, Plaid's object) is kept for institutions that items are linked to. One that Plaid no longer " +
        'lists still answers, with `vanished_at`.',
      tag: 'Institutions',
      scope: 'read',
      answers: { 200: { description: 'The institution', schema: institutionAnswer } },
      problems: ['not_found'],
    }).with({ params: institutionParams, querystring: noQuery }),
    async (request) => {
      const { institutionId } = request.params;
      const institution = await institutions.get(institutionId);
      if (institution === null) {
        throw new Problem('not_found', {
          detail:
            'The cache does not hold the institution. It may be of another country than those configured, or newer than the last ' +
            'sync: GET /v1/institutions/{institutionId}/live asks Plaid.',
        });
      }
      return institution;
    },
  );

  app.get(
    '/institutions/:institutionId/live',
    operation({
      id: 'readInstitutionLive',
      summary: 'An institution, from Plaid now',
      description:
        "Plaid's `/institutions/get_by_id` with logo and connection status, in the configured countries. Nothing is stored.",
      tag: 'Institutions',
      scope: 'read',
      answers: { 200: { description: "Plaid's institution", schema: liveInstitutionAnswer } },
      problems: [
        'unknown_institution',
        'plaid_refused',
        'institution_unavailable',
        'plaid_unreachable',
        'plaid_busy',
        'live_reads_busy',
        'plaid_timeout',
      ],
    }).with({ params: institutionParams, querystring: noQuery }),
    async (request) =>
      liveReads.run(() =>
        live.institution(request.params.institutionId).catch((error: unknown) => {
          throw error instanceof Failure ? problemOfPlaid(error) : error;
        }),
      ),
  );
}
