import type { FastifyInstance } from 'fastify';
import { z } from 'zod';
import { isHttpUrl } from '../options.js';
import type { World } from '../world.js';
import { controlBody, ControlError } from './control.js';

interface InstitutionParams {
  institution_id: string;
}

/**
 * `/_sim/institutions/{id}/alert` is an alert that was set up in Plaid's dashboard; `/_sim/institutions/{id}/alias` makes this id
 * an old one of another institution.
 */
export function institutionControls(app: FastifyInstance, world: World): void {
  app.post<{ Params: InstitutionParams }>('/_sim/institutions/:institution_id/alert', async (request) => {
    const institutionId = request.params.institution_id;
    if (!world.institutions.get(institutionId)) {
      throw new ControlError(404, `there is no institution ${institutionId}`);
    }
    const { institution_overall_success_rate, url } = controlBody(
      z.strictObject({
        institution_overall_success_rate: z.number().min(0).max(1),
        url: z.string().refine(isHttpUrl, 'must be an http or https URL'),
      }),
      request.body,
    );
    const delivery = world.deliveries.send({
      url,
      itemId: null,
      fields: {
        webhook_type: 'DASHBOARD_CONFIGURED_ALERT',
        webhook_code: 'INSTITUTION_STATUS_ALERT_TRIGGERED',
        institution_id: institutionId,
        institution_overall_success_rate,
        environment: 'sandbox',
      },
    });
    return { deliveries: [delivery.id] };
  });

  app.post<{ Params: InstitutionParams }>('/_sim/institutions/:institution_id/alias', async (request) => {
    const old = request.params.institution_id;
    const { of } = controlBody(
      z.strictObject({ of: z.string().regex(/^ins_\w+$/, 'not of the form ins_…') }),
      request.body,
    );
    if (!world.institutions.get(old) && !world.institutions.get(of)) {
      throw new ControlError(404, `there is no institution ${old}, and none ${of}`);
    }
    if (!world.institutions.rename(old, of)) throw new ControlError(409, `${old} and ${of} are two banks`);
    world.keeper.world();
    await world.keeper.saved();
    return { institution_id: of, alias: old };
  });
}
