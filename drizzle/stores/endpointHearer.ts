import type { Fragment, Sql, Tx } from '../rows.js';
import type { Hearer } from './audience.js';

/** Who hears what is sent to endpoint `p` of application `a`. */
export const hearerOf = (sql: Sql | Tx): Hearer => ({
  applicationId: sql`p.application_id`,
  access: sql`a.access`,
  consent: sql`p.consent`,
});

/**
 * The lane of an event `e`: what is about one Item, else user, connection or endpoint, goes in its order. What is about none of them, as
 * `user.erased`, has no order: two of it may be written at once, and the later place be seen first.
 */
export const laneOf = (sql: Sql | Tx): Fragment =>
  sql`coalesce(e.item_id, e.user_id, e.connection_id, e.endpoint_id, e.event_id)`;
