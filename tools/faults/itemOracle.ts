import { examine } from './oracle.js';
import type { System } from './system.js';
import type { Verdict } from './verdict.js';
import { emptyVerdict } from './verdict.js';

type Json = Record<string, unknown>;
interface Number_ {
  account_id: string;
  account: string;
  routing: string;
}

/** An Item that lives: rows, streams, feed, numbers, health, and what Segment heard of it. */
export async function judgeLiving(system: System, itemId: string): Promise<Verdict> {
  const verdict: Verdict = await examine(system, itemId);
  // A row that came and went between the two readings of a remine was announced to nobody: it needs no sign of a removal.
  verdict.lost = verdict.lost.filter((line) => !line.endsWith('is live here'));
  const { body } = await system.api('GET', `/v1/items/${itemId}`);
  if (body['status'] !== 'ACTIVE' || body['error'] !== null)
    verdict.stale.push(`REST: status ${String(body['status'])}, error ${JSON.stringify(body['error'])}`);
  await judgeNumbers(verdict, system, itemId);
  await judgeEpisodes(verdict, system, itemId);
  return verdict;
}

async function judgeNumbers(verdict: Verdict, system: System, itemId: string): Promise<void> {
  const { body } = await system.api<{ numbers: { account_id: string; ach: Number_[] }[] }>(
    'GET',
    `/v1/items/${itemId}/numbers`,
  );
  const truth = await system.sim<{ numbers: { ach: Number_[] } }>(`/_sim/items/${itemId}/truth`);
  const keyOf = ({ account_id, account, routing }: Number_): string => `${account_id} ${account} ${routing}`;
  const held = new Set(
    body.numbers.flatMap(({ account_id, ach }) => ach.map((one) => keyOf({ ...one, account_id }))),
  );
  const wanted = new Set(truth.numbers.ach.map(keyOf));
  // Numbers are secrets of the simulator's own making; the account is enough to find them.
  for (const key of wanted) if (!held.has(key)) verdict.lost.push(`numbers: of ${key.split(' ')[0] ?? ''}`);
  for (const key of held)
    if (!wanted.has(key)) verdict.phantom.push(`numbers: of ${key.split(' ')[0] ?? ''}`);
}

/** Segment heard of each episode's begin and end, and of nothing else. */
async function judgeEpisodes(verdict: Verdict, system: System, itemId: string): Promise<void> {
  const [row] = await system.sql<{ episodes: number }[]>`
    SELECT error_episode::int AS episodes FROM items WHERE item_id = ${itemId}`;
  const wanted = new Set(
    Array.from({ length: row?.episodes ?? 0 }, (_, n) => [
      `${itemId}:errored:${n + 1}`,
      `${itemId}:repaired:${n + 1}`,
    ]).flat(),
  );
  const heard = new Set(
    (await system.segmentEvents())
      .filter((event) => (event['properties'] as Json)['item_id'] === itemId)
      .map((event) => String(event['messageId'])),
  );
  for (const id of wanted) if (!heard.has(id)) verdict.lost.push(`Segment: ${id}`);
  for (const id of heard) if (!wanted.has(id)) verdict.phantom.push(`Segment: ${id}`);
}

const ofStreams = (line: string): boolean =>
  /untold$|not told$|of \d+ is missing$|no record$|no outbox row$/.test(line);

/** An Item that was removed: at Plaid too, token and numbers erased, its streams equal to its outbox. Its bank is read no more. */
export async function judgeRemoved(system: System, itemId: string): Promise<Verdict> {
  const found = await examine(system, itemId);
  const verdict: Verdict = {
    lost: found.lost.filter(ofStreams),
    phantom: found.phantom.filter(ofStreams),
    stale: found.stale.filter((line) => line.startsWith('outbox: ')),
    dup: found.dup,
    other: found.other,
  };
  if (!(await isRemovedAtPlaid(system, itemId))) verdict.other.push('Plaid: it lives there still');
  const [row] = await system.sql<{ token: unknown; numbers: number; open: number }[]>`
    SELECT access_token_ciphertext AS token,
      (SELECT count(*)::int FROM account_numbers WHERE item_id = ${itemId}) AS numbers,
      (SELECT count(*)::int FROM accounts WHERE item_id = ${itemId} AND status <> 'closed') AS open
    FROM items WHERE item_id = ${itemId}`;
  if (row === undefined) verdict.lost.push('items: its row');
  if (row?.token != null) verdict.phantom.push('items: its token');
  if ((row?.numbers ?? 0) > 0) verdict.phantom.push('account_numbers: its rows');
  if ((row?.open ?? 0) > 0) verdict.phantom.push('accounts: open ones');
  const { body } = await system.api('GET', `/v1/items/${itemId}`);
  if (body['status'] !== 'REMOVED') verdict.stale.push(`REST: status ${String(body['status'])}`);
  return verdict;
}

async function isRemovedAtPlaid(system: System, itemId: string): Promise<boolean> {
  const { items } = await system.sim<{ items: { item_id: string; removed: boolean }[] }>('/_sim/items');
  return items.find((item) => item.item_id === itemId)?.removed === true;
}

/** A user who was erased: no table of the database names them or their Item, whatever the table, and Plaid has the Item no more. */
export async function judgeErased(
  system: System,
  { userId, itemId }: { userId: string; itemId: string },
): Promise<Verdict> {
  const verdict = emptyVerdict();
  const names = [userId, itemId].flatMap((name) => [name, Buffer.from(name).toString('hex')]);
  const tables = await system.sql<{ name: string }[]>`
    SELECT table_name AS name FROM information_schema.tables
    WHERE table_schema = 'public' AND table_type = 'BASE TABLE'`;
  for (const { name } of tables) {
    const [row] = await system.sql.unsafe<{ n: number }[]>(
      `SELECT count(*)::int AS n FROM "${name}" t WHERE EXISTS (SELECT FROM unnest($1::text[]) s WHERE position(s IN t::text) > 0)`,
      [names],
    );
    if ((row?.n ?? 0) > 0) verdict.phantom.push(`${name}: ${row?.n ?? 0} rows of an erased user`);
  }
  if (!(await isRemovedAtPlaid(system, itemId)))
    verdict.other.push('Plaid: the Item of an erased user lives');
  return verdict;
}
