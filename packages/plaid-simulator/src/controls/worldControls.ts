import type { FastifyInstance } from 'fastify';
import { z } from 'zod';
import { durationMs, instant, LAST_INSTANT_MS } from '../calendar.js';
import { exportWorld, importWorld } from '../persistence/worldDocument.js';
import { UnreadableState } from '../persistence/restoreRecords.js';
import type { World } from '../world.js';
import { controlBody, ControlError } from './control.js';

/** The longest text that the engine can hold. */
const LARGEST_WORLD = 512 * 1024 * 1024;

/** `/_sim/reset`, `/_sim/clock`, `/_sim/world`, `/_sim/keys/rotate`, `/_sim/calls`. */
export function worldControls(app: FastifyInstance, world: World): void {
  const clockState = () => ({ now: instant(world.clock.now()), scale: world.clock.scale });

  app.post('/_sim/reset', async (request) => {
    const { seed, clock } = controlBody(
      z.strictObject({
        seed: z.union([z.string(), z.number()]).optional(),
        clock: z.strictObject({ scale: z.number().min(0).optional() }).optional(),
      }),
      request.body,
    );
    world.reset(seed === undefined ? undefined : String(seed), clock?.scale);
    await world.keeper.saved();
    return { seed: world.seed, ...clockState() };
  });

  app.get('/_sim/clock', async () => clockState());

  app.post('/_sim/clock', async (request) => {
    const { advance, scale } = controlBody(
      z.strictObject({ advance: z.string().optional(), scale: z.number().min(0).optional() }),
      request.body,
    );
    const ms = advance === undefined ? 0 : durationMs(advance);
    if (ms === null) throw new ControlError(400, 'advance: not an ISO 8601 duration such as PT36H');
    if (world.clock.now() + ms > LAST_INSTANT_MS)
      throw new ControlError(400, 'advance: beyond the year 9999');
    if (scale !== undefined) {
      world.clock.setScale(scale);
      world.schedule.rearm();
    }
    await world.schedule.advance(ms);
    world.keeper.world();
    await world.keeper.saved();
    return clockState();
  });

  app.get('/_sim/world', async (_request, reply) =>
    reply.type('application/json; charset=utf-8').send(exportWorld(world)),
  );

  app.post('/_sim/world', { bodyLimit: LARGEST_WORLD }, async (request) => {
    try {
      importWorld(world, request.body);
    } catch (error) {
      if (error instanceof UnreadableState) throw new ControlError(400, error.message);
      throw error;
    }
    await world.keeper.saved();
    return { seed: world.seed, items: world.items.size, ...clockState() };
  });

  app.post('/_sim/keys/rotate', async () => {
    const key = world.keys.rotate();
    world.keeper.world();
    await world.keeper.saved();
    return { key };
  });

  app.get('/_sim/calls', async () => ({ calls: world.calls.list(), violations: world.limits.violations() }));

  app.delete('/_sim/calls', async () => {
    world.calls.clear();
    world.limits.clear();
    return {};
  });
}
