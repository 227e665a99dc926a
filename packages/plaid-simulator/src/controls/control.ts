import type { FastifyInstance } from 'fastify';
import type { z } from 'zod';
import { PlaidApiError } from '../errors.js';
import type { Item } from '../item/item.js';
import type { World } from '../world.js';

/** A control that was asked for something impossible: 400, 404 or 409 with one sentence. */
export class ControlError extends Error {
  constructor(
    readonly status: 400 | 404 | 409,
    message: string,
  ) {
    super(message);
  }
}

export function itemOr404(world: World, itemId: string): Item {
  const item = world.items.get(itemId);
  if (!item) throw new ControlError(404, `there is no item ${itemId}`);
  return item;
}

export function assertLiving(item: Item): void {
  if (item.facts.removedAt !== null) throw new ControlError(409, 'the item was removed');
}

export function livingItem(world: World, itemId: string): Item {
  const item = itemOr404(world, itemId);
  assertLiving(item);
  return item;
}

/** The body of a control; what does not fit is answered with 400 and says where. */
export function controlBody<T extends z.ZodType>(schema: T, body: unknown): z.output<T> {
  const parsed = schema.safeParse(body ?? {});
  if (parsed.success) return parsed.data;
  const issue = parsed.error.issues[0];
  throw new ControlError(
    400,
    `${issue?.path.map(String).join('.') || 'body'}: ${issue?.message ?? 'invalid'}`,
  );
}

/** Errors of controls are `{error}`; they are no part of Plaid's API. */
export function answerControlErrors(app: FastifyInstance): void {
  app.setErrorHandler((error, _request, reply) => {
    if (error instanceof ControlError) return reply.code(error.status).send({ error: error.message });
    if (error instanceof PlaidApiError) return reply.code(error.status).send(error.body('control'));
    const status = (error as { statusCode?: number }).statusCode ?? 500;
    return reply.code(status).send({ error: error instanceof Error ? error.message : 'failed' });
  });
}
