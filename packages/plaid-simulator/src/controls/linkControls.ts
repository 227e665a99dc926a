import type { FastifyInstance } from 'fastify';
import { z } from 'zod';
import { OutOfStep } from '../link/session.js';
import { walkThroughLink } from '../link/throughLink.js';
import type { World } from '../world.js';
import { controlBody, ControlError } from './control.js';

const FIRST_PLATYPUS = 'ins_109508';

/** `/_sim/link`: a user goes through Link without a browser. The steps are those of the page; here all answers are known. */
export function linkControls(app: FastifyInstance, world: World): void {
  app.post('/_sim/link', async (request) => {
    const body = controlBody(
      z.strictObject({
        link_token: z.string(),
        institution_id: z.string().default(FIRST_PLATYPUS),
        username: z.string().optional(),
        password: z.string().default('pass_good'),
        account_masks: z.array(z.string()).min(1).optional(),
      }),
      request.body,
    );
    const link = world.linkTokens.get(body.link_token);
    if (!link) throw new ControlError(404, 'there is no such link token');
    if (link.expiresAt <= world.clock.realNow()) throw new ControlError(409, 'the link token has expired');
    const item = link.itemId === null ? null : world.items.get(link.itemId);
    if (item === undefined || (item && item.facts.removedAt !== null)) {
      throw new ControlError(409, 'the item was removed');
    }
    try {
      const session = walkThroughLink(world, body.link_token, {
        institutionId: body.institution_id,
        username: body.username ?? item?.facts.username ?? 'user_good',
        password: body.password,
        masks: body.account_masks ?? null,
      });
      return {
        mode: item && link.targetApplication === null ? 'update' : 'create',
        item_id: session.itemId,
        public_token: session.added?.publicToken ?? null,
      };
    } catch (error) {
      if (error instanceof OutOfStep) throw new ControlError(409, error.message);
      throw error;
    } finally {
      await world.keeper.saved();
    }
  });
}
