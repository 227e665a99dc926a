/** What is kept for a time only. In the order in which it is cleaned; wire names within the input of `cleanUp`. */
export const perishables = [
  'outbox',
  'webhooks',
  'idempotencyKeys',
  'links',
  'parkedRows',
  'parkedEvents',
  'segmentEvents',
  'balances',
  'events',
] as const;

export type Perishable = (typeof perishables)[number];

/** How long each is kept, in milliseconds. Idempotency keys say themselves how long. */
export type Retention = Record<Exclude<Perishable, 'idempotencyKeys'>, number>;

/** What a run has deleted so far. */
export type Cleaned = Record<Perishable, number>;

export const nothingCleaned: Cleaned = {
  outbox: 0,
  webhooks: 0,
  idempotencyKeys: 0,
  links: 0,
  parkedRows: 0,
  parkedEvents: 0,
  segmentEvents: 0,
  balances: 0,
  events: 0,
};
