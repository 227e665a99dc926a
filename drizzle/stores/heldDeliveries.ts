import type { Fragment, Sql, Tx } from '../rows.js';
import { items } from '../schema.js';
import { selection } from '../selection.js';
import type { Selected } from '../selection.js';
import { hearing, mayHear } from './audience.js';
import { atOnce } from './deliveryFailures.js';
import { hearerOf } from './endpointHearer.js';

/**
 * Deliveries about an Item whose application may not be told of it now. They are held while its connection may come back, and are
 * cancelled with its end. Whoever locks several deliveries locks them in the order of their ids, or skips what is locked: nobody
 * who has some waits for another who has others.
 */

const locked = selection(items, ['item_id']);
/** Till one is asked about again whose Item somebody else holds. */
const leftFor = '1s';

/** Whether a delivery `d` may be sent through a connection alone. That the Item is no more is what its applications are told last. */
const ofConnection = (tx: Tx): Fragment => tx`(d.type LIKE 'item.%' AND d.type <> 'item.removed')`;

/** Of lanes `l` the deliveries that are not sent, of one state: a state is a statement, since each has its index. */
const inLanes = (tx: Tx, state: Fragment): Fragment => tx`
  SELECT d.delivery_id FROM lanes l JOIN deliveries d ON d.endpoint_id = l.endpoint_id AND d.lane = l.item_id
  WHERE d.state = ${state} AND ${ofConnection(tx)}`;

/** Of lanes `l` what else waits, and was not tried since it was asked for: it was put off with what is before it. */
const putOff = (tx: Tx): Fragment => tx`
  SELECT d.delivery_id FROM lanes l JOIN deliveries d ON d.endpoint_id = l.endpoint_id AND d.lane = l.item_id
  WHERE d.state = 'pending' AND NOT ${ofConnection(tx)} AND d.attempts = d.attempts_before
    AND d.next_attempt_at > clock_timestamp()`;

/**
 * Cancels what is not sent of Items to applications whose connections have ended: of all of a transaction at once. What is sent all the
 * same (that they have ended) does not wait any more for the next attempt of what was before it in its lane.
 */
export async function cancelDeliveries(
  tx: Tx,
  ended: readonly { item_id: string; application_id: string }[],
): Promise<void> {
  if (ended.length === 0) return;
  await tx`
    WITH lanes AS (
      SELECT p.endpoint_id, c.item_id
      FROM unnest(${ended.map((one) => one.item_id)}::text[], ${ended.map((one) => one.application_id)}::text[])
          AS c(item_id, application_id)
        JOIN endpoints p USING (application_id) JOIN applications a USING (application_id)
      WHERE a.access = 'connected'
    ), locked AS (
      SELECT d.delivery_id FROM deliveries d
      WHERE d.delivery_id IN (${inLanes(tx, tx`'pending'`)} UNION ALL ${inLanes(tx, tx`'held'`)}
        UNION ALL ${putOff(tx)})
      ORDER BY d.delivery_id FOR UPDATE
    )
    UPDATE deliveries d SET state = CASE WHEN ${ofConnection(tx)} THEN 'cancelled' ELSE d.state END,
      ended_at = CASE WHEN ${ofConnection(tx)} THEN clock_timestamp() ELSE d.ended_at END,
      next_attempt_at = CASE WHEN ${ofConnection(tx)} THEN d.next_attempt_at ELSE clock_timestamp() END
    FROM locked WHERE d.delivery_id = locked.delivery_id AND d.state IN ('pending', 'held')`;
}

/**
 * Lets go, in their order, what was held of the Item for applications that may be told of it now. Under the Item's lock, and once in a
 * transaction, after everything that it does to connections.
 */
export const releaseDeliveries = (tx: Tx, itemId: string): Promise<void> =>
  release(tx, tx`c.item_id = ${itemId} AND c.revoked_at IS NULL`);

/** The same of all Items for an application that may see more of them now, its connections being what they are. */
export const releaseOfApplication = (tx: Tx, applicationId: string): Promise<void> =>
  release(tx, tx`c.application_id = ${applicationId}`);

async function release(tx: Tx, ofConnections: Fragment): Promise<void> {
  await tx`
    WITH lanes AS (
      SELECT DISTINCT p.endpoint_id, c.item_id FROM connections c JOIN endpoints p USING (application_id)
      WHERE ${ofConnections}
    ), locked AS (
      SELECT d.delivery_id FROM deliveries d WHERE d.delivery_id IN (${inLanes(tx, tx`'held'`)})
      ORDER BY d.delivery_id FOR UPDATE
    )
    UPDATE deliveries d SET state = 'pending', ${atOnce(tx)}
    FROM locked, events e, endpoints p JOIN applications a USING (application_id)
    WHERE d.delivery_id = locked.delivery_id AND d.state = 'held' AND e.event_id = d.event_id
      AND p.endpoint_id = d.endpoint_id AND ${mayHear(tx, hearerOf(tx))}`;
}

/**
 * Puts aside what the holder has taken, and may not send: held or cancelled. Under the lock of its Items it is asked once more, so that
 * none is held behind the back of a connection that comes back at this moment. What is about an Item that somebody else holds is left
 * for a moment: the endpoint's other lanes wait for nobody.
 */
export async function putAside(sql: Sql, holder: string, ids: readonly string[]): Promise<void> {
  if (ids.length === 0) return;
  await sql.begin(async (tx) => {
    const mine = tx`d.delivery_id = ANY(${[...ids]}::text[]) AND d.claim = ${holder} AND d.state = 'pending'`;
    const free = await tx<Selected<typeof locked>[]>`
      SELECT ${locked.list(tx)} FROM items
      WHERE item_id IN (SELECT lane FROM deliveries WHERE delivery_id = ANY(${[...ids]}::text[]))
      FOR SHARE SKIP LOCKED`;
    const isFree = tx`(d.lane = ANY(${free.map((item) => item.item_id)}::text[])
      OR NOT EXISTS (SELECT FROM items i WHERE i.item_id = d.lane))`;
    await tx`
      WITH locked AS (
        SELECT d.delivery_id, d.event_id, d.endpoint_id, ${isFree} AS free FROM deliveries d
        WHERE ${mine} ORDER BY d.delivery_id FOR UPDATE
      ), judged AS (
        SELECT l.delivery_id, l.free, CASE WHEN e.event_id IS NOT NULL THEN ${hearing(tx, hearerOf(tx))} END AS hearing
        FROM locked l JOIN endpoints p USING (endpoint_id) JOIN applications a USING (application_id)
          LEFT JOIN events e ON e.event_id = l.event_id
      ), aside AS (
        SELECT delivery_id, CASE WHEN NOT free OR hearing = 'now' THEN 'pending'
            WHEN hearing = 'later' THEN 'held' ELSE 'cancelled' END AS state,
          CASE WHEN NOT free THEN clock_timestamp() + ${leftFor}::interval END AS left_until
        FROM judged
      )
      UPDATE deliveries d SET claim = NULL, claimed_until = aside.left_until, state = aside.state,
        ended_at = CASE WHEN aside.state = 'cancelled' THEN clock_timestamp() END
      FROM aside WHERE d.delivery_id = aside.delivery_id`;
  });
}
