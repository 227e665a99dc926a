import type { ReceivingEndpoint } from '../../tools/faults/eventReceiver.js';
import type { System } from './system.js';
import { until } from './until.js';

interface Told {
  event_id: string;
  lane: string | null;
  state: string | null;
}

/**
 * Waits until nothing is on its way to the endpoint, and sees that each event that there is has come there, signed, in the order of
 * its lane, under one id however often it came. Resolves to the number of events. For endpoints that are told of everything.
 */
export async function expectAllArrived({ sql }: System, receiver: ReceivingEndpoint): Promise<number> {
  // One statement: a process that was killed may have committed something between two.
  const everyEvent = () => sql<Told[]>`
    SELECT e.event_id, d.lane, d.state FROM events e
    LEFT JOIN deliveries d ON d.event_id = e.event_id AND d.endpoint_id = ${receiver.endpointId} ORDER BY d.position`;
  let rows: readonly Told[] = [];
  await until(async () => {
    rows = await everyEvent();
    return rows.every(({ state }) => state !== 'pending') && (await everyEvent()).length === rows.length;
  });
  // A range that a newer one covers goes with that one.
  const sent = rows.filter(({ state }) => state !== 'superseded');
  expect(sent.filter(({ state }) => state !== 'delivered')).toEqual([]);
  const arrivals = [...new Set(receiver.received.map(({ id }) => id))];
  expect([...arrivals].sort()).toEqual(sent.map(({ event_id }) => event_id).sort());
  for (const lane of new Set(sent.map((row) => row.lane))) {
    const inOrder = sent.filter((row) => row.lane === lane).map(({ event_id }) => event_id);
    expect([lane, arrivals.filter((id) => inOrder.includes(id))]).toEqual([lane, inOrder]);
  }
  expect(receiver.forged()).toBe(0);
  return rows.length;
}
