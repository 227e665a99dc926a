import type { ReceivingEndpoint } from './eventReceiver.js';
import { pendingWebhooks } from './pendingWebhooks.js';
import { judgeParked } from './userEvents.js';
import type { Verdict } from './verdict.js';
import { addTo, emptyVerdict } from './verdict.js';
import type { World } from './world.js';

/** An alert that a fault may well raise: what it names is checked elsewhere. */
const expectedAlerts = new Set([
  'link_outcome_unknown',
  'webhook_keys_busy',
  'plaid_code_unknown',
  'event_parked',
]);
/** The server ends a run at 51,200 events and asks for its end at 10,240. */
const longestHistory = 10_240;

export interface WorldFacts {
  /** Runs that the trial itself has terminated since the world began. */
  terminated: number;
  /** Records of the stream of user events that were no events. */
  poison: number;
  /** Users erased since the world began, and their Items: what endpoints heard of them has no row any more. */
  erased: readonly { userId: string; itemId: string }[];
}

/** What must hold for the whole at rest, whoever the Items are. */
export async function judgeWorld(world: World, facts: WorldFacts): Promise<Verdict> {
  const verdict = emptyVerdict();
  for (const receiver of world.receivers) await judgeDeliveries(verdict, world, receiver, facts);
  await judgePlaid(verdict, world);
  await judgeTemporal(verdict, world, facts);
  const { system } = world;
  addTo(verdict, await judgeParked(system, facts.poison), 'user events');
  verdict.lost.push(
    ...(await pendingWebhooks(system)).map(
      ({ webhook_id, code, item_id, stored }) =>
        `webhooks: ${webhook_id} (${code}) of ${stored ? 'the' : 'the unknown'} Item ${item_id} is pending`,
    ),
  );
  const forged = await system.sql<{ webhook_id: string }[]>`
    SELECT webhook_id FROM webhooks WHERE webhook_code = 'USER_PERMISSION_REVOKED'`;
  verdict.phantom.push(...forged.map(({ webhook_id }) => `webhooks: ${webhook_id} is forged and was read`));
  const alerts = await system.sql<{ kind: string; key: string; detail: unknown }[]>`
    SELECT kind, key, detail FROM alerts`;
  verdict.other.push(
    ...alerts
      .filter(({ kind }) => !expectedAlerts.has(kind))
      .map(({ kind, key, detail }) => `alert: ${kind} ${key} ${JSON.stringify(detail)}`),
  );
  verdict.other.push(
    ...system
      .logs()
      .split('\n')
      .filter((line) => /unexpected error in an activity|nondeterminism/i.test(line))
      .map((line) => `log: ${line.slice(0, 300)}`),
  );
  return verdict;
}

/** An endpoint of `default` hears of every event once and in the order of its lane. */
async function judgeDeliveries(
  verdict: Verdict,
  { system }: World,
  receiver: ReceivingEndpoint,
  { erased }: WorldFacts,
): Promise<void> {
  const rows = await system.sql<{ event_id: string; lane: string | null; state: string | null }[]>`
    SELECT e.event_id, d.lane, d.state FROM events e
    LEFT JOIN deliveries d ON d.event_id = e.event_id AND d.endpoint_id = ${receiver.endpointId}
    -- A ping is its endpoint's alone; what is the matter with another one all of its application hear.
    WHERE (e.type <> 'endpoint.ping' OR e.endpoint_id = ${receiver.endpointId})
      -- What is said to one application alone, as that an Item it has joined is ready, it alone hears. Of connections this one hears everything.
      AND (e.connection_id IS NOT NULL OR e.application_id IS NULL OR e.application_id = 'default')
    ORDER BY e.position`;
  const arrivals = [...new Set(receiver.received.map(({ id }) => id))];
  const arrived = new Set(arrivals);
  const lanes = new Map<string, string[]>();
  for (const { event_id, lane, state } of rows) {
    if (lane === null) verdict.lost.push(`deliveries: ${event_id} has none`);
    else if (state === 'pending') verdict.lost.push(`deliveries: ${event_id} is pending`);
    else if (state === 'failed') verdict.lost.push(`deliveries: ${event_id} was given up`);
    else if (state === 'delivered' && !arrived.has(event_id))
      verdict.lost.push(`deliveries: ${event_id} is called delivered and did not arrive`);
    if (lane !== null && arrived.has(event_id)) lanes.set(lane, [...(lanes.get(lane) ?? []), event_id]);
  }
  const place = new Map(arrivals.map((id, index) => [id, index]));
  for (const [lane, ids] of lanes) {
    const places = ids.map((id) => place.get(id) ?? -1);
    if (places.some((at, index) => index > 0 && at < (places[index - 1] ?? 0)))
      verdict.other.push(`deliveries: lane ${lane} is out of order`);
  }
  const known = new Set(rows.map(({ event_id }) => event_id));
  const gone = new Set(erased.flatMap(({ userId, itemId }) => [userId, itemId]));
  for (const { id, type, subject } of receiver.received) {
    // Of a connection of an erased Item nothing says whose it was.
    const ofErased = gone.has(subject) || (erased.length > 0 && type.startsWith('connection.'));
    if (!known.has(id) && !ofErased) verdict.phantom.push(`deliveries: ${id} (${type}) is no event`);
  }
  if (receiver.forged() > 0)
    verdict.other.push(`deliveries: ${receiver.forged()} with a signature that is not ours`);
}

/** Who lives at Plaid is known here, or there is an alert that somebody may. */
async function judgePlaid(verdict: Verdict, { system }: World): Promise<void> {
  const { items } = await system.sim<{ items: { item_id: string; removed: boolean }[] }>('/_sim/items');
  const known = new Set(
    (await system.sql<{ id: string }[]>`SELECT item_id AS id FROM items`).map(({ id }) => id),
  );
  const orphans = items.filter(({ item_id, removed }) => !removed && !known.has(item_id));
  const [row] = await system.sql<{ n: number }[]>`
    SELECT count(*)::int AS n FROM alerts WHERE kind = 'link_outcome_unknown'`;
  if (orphans.length > (row?.n ?? 0))
    verdict.lost.push(
      ...orphans.map(({ item_id }) => `items: ${item_id} lives at Plaid, and no alert says so`),
    );
}

async function judgeTemporal(verdict: Verdict, { system }: World, facts: WorldFacts): Promise<void> {
  const { workflow } = system.client;
  const wrongEnds = workflow.list({ query: "ExecutionStatus IN ('Failed', 'TimedOut', 'Canceled')" });
  for await (const { type, workflowId, status } of wrongEnds) {
    // One that is held up its item workflow ends itself, where a remine was asked for.
    const isOurs = status.name === 'CANCELLED' && type === 'pageHistory';
    if (!isOurs) verdict.other.push(`Temporal: ${type} ${workflowId} is ${status.name}`);
  }
  const { count: terminated } = await workflow.count("ExecutionStatus = 'Terminated'");
  if (terminated > facts.terminated)
    verdict.other.push(`Temporal: ${terminated} runs terminated, ${facts.terminated} of them by us`);
  for await (const { workflowId, historyLength } of workflow.list({ query: "ExecutionStatus = 'Running'" })) {
    if (historyLength > longestHistory)
      verdict.other.push(`Temporal: the history of ${workflowId} has ${historyLength} events`);
  }
}
