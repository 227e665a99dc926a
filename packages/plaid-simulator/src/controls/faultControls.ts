import type { FastifyInstance } from 'fastify';
import { z } from 'zod';
import { distortionFields, distorts } from '../distortion.js';
import { isKnownCode } from '../errors.js';
import type { Fault } from '../faults.js';
import type { World } from '../world.js';
import { controlBody, ControlError } from './control.js';
import { bankChanges } from './itemControls.js';

const fault = z.union([
  z.strictObject({
    error_code: z.string(),
    error_type: z.string().optional(),
    status: z.int().min(400).max(599).optional(),
  }),
  z.strictObject({ status: z.int().min(400).max(599) }),
  z.strictObject({ latency_ms: z.number().min(0) }),
  z.strictObject({ reset: z.enum(['before', 'after']) }),
  z.strictObject({ truncate: z.int().min(0) }),
  z.strictObject({ short: z.int().min(0) }),
  z.strictObject({
    distort: z.strictObject(distortionFields).refine(distorts, 'distorts nothing: give set, without or as'),
  }),
  z.strictObject({
    mutate_during_pagination: z.strictObject({ after_page: z.int().min(1), ...bankChanges }),
  }),
]);

function faultOf(given: z.output<typeof fault>): Fault {
  if ('error_code' in given) {
    if (!isKnownCode(given.error_code) && given.error_type === undefined) {
      throw new ControlError(400, `fault.error_code: ${given.error_code} is not known; give error_type too`);
    }
    return { kind: 'error', code: given.error_code, type: given.error_type, status: given.status };
  }
  if ('status' in given) return { kind: 'status', status: given.status };
  if ('latency_ms' in given) return { kind: 'latency', ms: given.latency_ms };
  if ('reset' in given) return { kind: 'reset', when: given.reset };
  if ('truncate' in given) return { kind: 'truncate', bytes: given.truncate };
  if ('short' in given) return { kind: 'short', rows: given.short };
  if ('distort' in given) return { kind: 'distort', distortion: given.distort };
  const { after_page, ...changes } = given.mutate_during_pagination;
  return { kind: 'mutate', afterPage: after_page, changes: changes };
}

/** `/_sim/faults`. */
export function faultControls(app: FastifyInstance, world: World): void {
  app.post('/_sim/faults', async (request) => {
    const body = controlBody(
      z.strictObject({
        match: z
          .strictObject({
            path: z.string().startsWith('/').optional(),
            item_id: z.string().optional(),
            call: z.int().min(1).optional(),
          })
          .default({}),
        fault,
        times: z.int().min(1).optional(),
        probability: z.number().min(0).max(1).optional(),
      }),
      request.body,
    );
    return { fault_id: world.faults.add(body.match, faultOf(body.fault), body.times, body.probability) };
  });

  app.get('/_sim/faults', async () => ({ faults: world.faults.list() }));

  app.delete('/_sim/faults', async () => {
    world.faults.clear();
    return {};
  });

  app.delete<{ Params: { fault_id: string } }>('/_sim/faults/:fault_id', async (request) => {
    if (!world.faults.remove(request.params.fault_id)) throw new ControlError(404, 'there is no such fault');
    return {};
  });
}
