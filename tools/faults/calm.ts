import { erasureWorkflowId } from '../../domain/ids.js';
import { change, sendWebhook } from './bank.js';
import type { Scene } from './perform.js';
import { passOverPauses } from './deliveryPauses.js';
import { answerWith } from './eventReceiver.js';
import { repair } from './happenings.js';
import { syncInstitutions, walksOf } from './institutions.js';
import { unrest } from './oracle.js';
import { pendingWebhooks } from './pendingWebhooks.js';
import type { System } from './system.js';
import { unheard } from './userEvents.js';
import type { World } from './world.js';

const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

/** After the last deed: every path is whole, every process runs, every login works, and each Item hears of what it missed. */
export async function endFaults(world: World, scene: Scene): Promise<void> {
  const { system, processes } = world;
  for (const proxy of [...Object.values(world.databases), ...Object.values(world.temporals), world.plaid])
    proxy.restore();
  for (const clock of Object.values(world.clocks)) clock.jumpTo(0);
  world.setKinesisFault(null);
  world.kinesis.otherFault = () => null;
  world.segment.fault = null;
  answerWith(world.receivers, 204);
  await system.sim('/_sim/faults', undefined, 'DELETE');
  await Promise.all(Object.values(processes).map((one) => one.makeUsual()));
  for (const item of scene.items) {
    if (item.isBroken) await repair(world, item, true);
    // What moved after the last page is announced by nobody until something else is.
    await change(system, item.itemId, { add: [{ amount: 4, name: 'Last' }], notify: true });
  }
}

/** How the way to calm went: what is still on its way, and what was longest, with the seconds that it took. */
export interface WayToCalm {
  restless: string[];
  lastToEnd: string[];
}

const lastOnes = 3;

/**
 * Waits until nothing is on its way any more, neither at the simulator nor here; what still is after `patienceMs` is `restless`.
 * Pauses of Plaid's, of deliveries and of endpoints that failed again and again, which last minutes, are passed over.
 */
export async function untilCalm(world: World, scene: Scene, patienceMs: number): Promise<WayToCalm> {
  const begun = Date.now();
  const lastSeen = new Map<string, number>();
  for (;;) {
    const restless = await restlessness(world, scene).catch((error: unknown) => [
      `not to be asked: ${String(error)}`,
    ]);
    for (const line of restless) lastSeen.set(line, (Date.now() - begun) / 1_000);
    if (restless.length === 0 || Date.now() - begun > patienceMs) {
      const steps = restless.length === 0 ? [] : await stepsOf(world, scene);
      const byTime = [...lastSeen].sort(([, a], [, b]) => b - a).slice(0, lastOnes);
      return {
        restless: [...restless, ...steps],
        lastToEnd: byTime.map(([line, s]) => `${line} (${s.toFixed(0)} s)`),
      };
    }
    await pause(400);
  }
}

/** At which step the erasures stand that have not ended, so that one that is slow can be told from one that is stuck. */
async function stepsOf({ system }: World, { erased }: Scene): Promise<string[]> {
  const steps = erased.map(async ({ erasureId }) => {
    const handle = system.client.workflow.getHandle(erasureWorkflowId(erasureId));
    const { status } = await handle.describe();
    if (status.name !== 'RUNNING') return [];
    const { currentDetails } = await handle.query<{ currentDetails?: string }>(
      '__temporal_workflow_metadata',
    );
    return [`erasure ${erasureId} stands at ${currentDetails ?? 'its beginning'}`];
  });
  return (await Promise.all(steps.map((step) => step.catch(() => [])))).flat();
}

/** Since when Plaid has had webhooks to send; a moment of that is its usual way. */
const waitsForPlaid = new WeakMap<World, number>();

async function restlessness(world: World, scene: Scene): Promise<string[]> {
  const { system } = world;
  // What leads to work of Items comes before them.
  const left: string[] = [...(await unheard(system, scene.said)), ...(await unwalked(system, scene))];
  for (const { itemId } of scene.items) left.push(...named(itemId, await unrest(system, itemId, 'idle')));
  for (const itemId of scene.removed) left.push(...named(itemId, await unrest(system, itemId, 'removed')));
  for (const { erasureId } of scene.erased) {
    const { body } = await system.api('GET', `/v1/erasures/${erasureId}`);
    if (body['state'] !== 'done') left.push(`erasure ${erasureId}: ${String(body['state'])}`);
  }
  await passOverPauses(system);
  const [row] = await system.sql<{ deliveries: number; segment: number; numbers: number }[]>`
    SELECT (SELECT count(*)::int FROM deliveries WHERE state = 'pending') AS deliveries,
      count(*) FILTER (WHERE segment_due_at IS NOT NULL)::int AS segment,
      count(*) FILTER (WHERE numbers_due_at IS NOT NULL AND removed_at IS NULL)::int AS numbers
    FROM items`;
  const webhooks = (await pendingWebhooks(system)).length;
  for (const [what, n] of Object.entries({ ...row, webhooks })) if (n > 0) left.push(`${n} ${what}`);
  const plaidWaits = left.some((line) => line.includes('webhooks on their way'));
  const since = plaidWaits ? (waitsForPlaid.get(world) ?? Date.now()) : 0;
  waitsForPlaid.set(world, since || Date.now());
  if (!plaidWaits) waitsForPlaid.delete(world);
  else if (Date.now() - since > 3_000) {
    waitsForPlaid.delete(world);
    await system.sim('/_sim/clock', { advance: 'PT12H' });
  }
  return left.length > 0 ? left : announcedAnew(world, scene);
}

/** Rounds whose numbers were announced anew. */
const announced = new WeakSet<Scene>();

/**
 * Once all is quiet: of account numbers that are others Plaid says so in words of their own, which it may have given up for good, to a
 * receiver that refused too many. What Plaid has given up is said once more; what was heard is not.
 */
async function announcedAnew({ system }: World, scene: Scene): Promise<string[]> {
  if (announced.has(scene)) return [];
  const left: string[] = [];
  for (const { itemId } of scene.items) {
    const { deliveries } = await system.sim<{ deliveries: Delivery[] }>(`/_sim/webhooks?item_id=${itemId}`);
    const isLost = deliveries.some((one) => one.webhook_type === 'AUTH' && one.gave_up !== null);
    if (!isLost) continue;
    await sendWebhook(system, itemId, 'AUTH', 'DEFAULT_UPDATE');
    left.push(`item ${itemId}: its numbers are announced anew`);
  }
  announced.add(scene);
  return left;
}

interface Delivery {
  webhook_type: string;
  gave_up: string | null;
}

/** After all that has happened to Plaid's list it is walked through once: then the cache is what Plaid says. */
async function unwalked(system: System, { institutions }: Scene): Promise<string[]> {
  if (!institutions.isWalked) return [];
  const { begun, isGoing } = await walksOf(system);
  if (isGoing) return ['institutions are being read'];
  if (institutions.walksBefore !== null)
    return begun > institutions.walksBefore ? [] : ['institutions are to be read'];
  if (await syncInstitutions(system)) institutions.walksBefore = begun;
  return ['institutions are to be read'];
}

const named = (itemId: string, why: string): string[] => (why === '' ? [] : [`item ${itemId}: ${why}`]);
