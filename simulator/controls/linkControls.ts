import type { FastifyInstance } from 'fastify';
import { z } from 'zod';
import { consentForTarget } from '../item/crossApplication.js';
import { repairItem } from '../item/lifecycle.js';
import { logIn } from '../item/login.js';
import type { World } from '../world.js';
import { controlBody, ControlError } from './control.js';

const DEFAULT_DAYS = 90;
const FIRST_PLATYPUS = 'ins_109508';

/** `/_sim/link`: the user goes through Link with a link token, there being no Link to click through. */
export function linkControls(app: FastifyInstance, world: World): void {
  app.post('/_sim/link', async (request) => {
    const body = controlBody(
      z.strictObject({
        link_token: z.string(),
        institution_id: z.string().default(FIRST_PLATYPUS),
        username: z.string().default('user_good'),
        password: z.string().default('pass_good'),
      }),
      request.body,
    );
    const link = world.linkTokens.get(body.link_token);
    if (!link) throw new ControlError(404, 'there is no such link token');
    if (link.expiresAt <= world.clock.realNow()) throw new ControlError(409, 'the link token has expired');
    if (link.itemId !== null && link.targetApplication !== null) {
      const token = consentForTarget(world, link);
      await world.keeper.saved();
      return { mode: 'create', item_id: token.itemId, public_token: token.token };
    }
    if (link.itemId !== null) {
      const item = world.items.get(link.itemId);
      if (!item || item.facts.removedAt !== null) throw new ControlError(409, 'the item was removed');
      // Update mode keeps item and access token: there is nothing to exchange.
      repairItem(world, item, false);
      return { mode: 'update', item_id: item.id, public_token: null };
    }
    const token = logIn(world, {
      institutionId: body.institution_id,
      username: body.username,
      password: body.password,
      products: link.products,
      productsIfSupported: link.productsIfSupported,
      webhook: link.webhook,
      daysRequested: link.daysRequested ?? DEFAULT_DAYS,
      clientId: link.clientId,
      application: { id: link.application, name: link.clientName },
    });
    await world.keeper.saved();
    return { mode: 'create', item_id: token.itemId, public_token: token.token };
  });
}
