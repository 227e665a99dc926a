import { change } from './bank.js';
import { untilCalm } from './calm.js';
import { judgeInstitutions } from './institutions.js';
import { judgeErased, judgeLiving } from './itemOracle.js';
import { linkWithHistory } from './linking.js';
import type { Scene } from './perform.js';
import { emptyScene } from './perform.js';
import { judgeUserEvents, sayOfUsers } from './userEvents.js';
import type { Verdict } from './verdict.js';
import type { World } from './world.js';
import type { WorldFacts } from './worldOracle.js';
import { judgeWorld } from './worldOracle.js';

/** What is done to the world in secret, and which part of the verdict has to name it, and how. */
export interface Sabotage {
  what: string;
  part: keyof Verdict;
  names: string;
  verdict: Verdict;
}

const patienceMs = 180_000;
/** A table of which an erasure would say nothing if it forgot it. */
const skipped = 'transactions';

/** An oracle that finds nothing proves something only if it finds what is there: some things are broken in secret, one after the other. */
export async function sabotage(world: World, facts: WorldFacts): Promise<Sabotage[]> {
  return [
    await changeRow(world),
    await dropRecord(world),
    await swallowDelivery(world, facts),
    await skipErasure(world),
    await changeFloat(world),
    await loseInstitution(world),
  ];
}

async function quietItem(world: World, user: string): Promise<string> {
  const itemId = await linkWithHistory(world, user, 5);
  await calm(world, emptyScene([{ itemId, userId: user, isBroken: false }]));
  return itemId;
}

async function calm(world: World, scene: Scene): Promise<void> {
  const { restless } = await untilCalm(world, scene, patienceMs);
  if (restless.length > 0) throw new Error(`did not come to its end: ${restless.join('; ')}`);
}

async function changeRow(world: World): Promise<Sabotage> {
  const { sql } = world.system;
  const itemId = await quietItem(world, 'sabotage-row');
  const [row] = await sql<{ id: string }[]>`
    UPDATE transactions SET raw = (raw::jsonb || '{"amount": 999999}')::json
    WHERE item_id = ${itemId} AND transaction_id = (SELECT min(transaction_id) FROM transactions WHERE item_id = ${itemId})
    RETURNING transaction_id AS id`;
  const verdict = await judgeLiving(world.system, itemId);
  return { what: 'one UPDATE to a row', part: 'stale', names: row?.id ?? 'no row', verdict };
}

async function dropRecord(world: World): Promise<Sabotage> {
  const itemId = await quietItem(world, 'sabotage-stream');
  let isDropped = false;
  world.setKinesisFault(() => {
    if (isDropped) return null;
    isDropped = true;
    return { accept: true };
  });
  const { added } = await change(world.system, itemId, {
    add: [{ amount: 6, name: 'Dropped' }],
    notify: true,
  });
  await calm(world, emptyScene([{ itemId, userId: 'sabotage-stream', isBroken: false }]));
  world.setKinesisFault(null);
  const verdict = await judgeLiving(world.system, itemId);
  return { what: 'one dropped stream record', part: 'lost', names: added[0] ?? 'no row', verdict };
}

async function swallowDelivery(world: World, facts: WorldFacts): Promise<Sabotage> {
  const { client } = world;
  const [receiver] = world.receivers;
  receiver.swallow = 1;
  await client.ask('POST', `/v1/endpoints/${receiver.endpointId}/ping`);
  await calm(world, emptyScene([]));
  const verdict = await judgeWorld(world, facts);
  return { what: 'one swallowed delivery', part: 'lost', names: 'did not arrive', verdict };
}

async function skipErasure(world: World): Promise<Sabotage> {
  const { sql } = world.system;
  const userId = 'sabotage-erasure';
  const itemId = await quietItem(world, userId);
  await sql.unsafe(`
    CREATE FUNCTION skip_erasure() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';
    CREATE TRIGGER skip_erasure BEFORE DELETE ON ${skipped} FOR EACH ROW EXECUTE FUNCTION skip_erasure()`);
  const { erasure_id: erasureId } = await world.client.ask<{ erasure_id: string }>(
    'DELETE',
    `/v1/users/${userId}`,
  );
  const scene = emptyScene([]);
  scene.erased.push({ userId, itemId, erasureId });
  await calm(world, scene);
  const verdict = await judgeErased(world.system, { userId, itemId });
  await sql.unsafe(`DROP FUNCTION skip_erasure CASCADE`);
  return { what: 'one skipped erasure table', part: 'phantom', names: `${skipped}: `, verdict };
}

async function changeFloat(world: World): Promise<Sabotage> {
  const { system } = world;
  const scene = emptyScene([]);
  const speech = { prefix: 'sabotage', users: ['sabotage'], words: 9, seed: 1 };
  await sayOfUsers(system, scene.said, speech);
  await calm(world, scene);
  const [row] = await system.sql<{ id: string }[]>`
    UPDATE floats SET status = CASE status WHEN 'active' THEN 'closed' ELSE 'active' END
    WHERE user_id = 'sabotage-float' AND float_id = (SELECT min(float_id) FROM floats WHERE user_id = 'sabotage-float')
    RETURNING float_id AS id`;
  const verdict = await judgeUserEvents(system, scene.said);
  return { what: 'one float that is another', part: 'stale', names: row?.id ?? 'no row', verdict };
}

async function loseInstitution(world: World): Promise<Sabotage> {
  const { system } = world;
  const scene = emptyScene([]);
  scene.institutions.isWalked = true;
  await calm(world, scene);
  const [row] = await system.sql<{ id: string }[]>`
    DELETE FROM institutions WHERE institution_id = 'ins_200500' RETURNING institution_id AS id`;
  const verdict = await judgeInstitutions(system);
  return { what: 'one institution that is not there', part: 'lost', names: row?.id ?? 'no row', verdict };
}
