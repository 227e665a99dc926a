import { fork } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { fileURLToPath } from 'node:url';
import autocannon from 'autocannon';
import { hashKey } from '../../api/auth.js';
import { writeCursor } from '../../api/lists.js';
import { createStores } from '../../drizzle/index.js';
import { openDatabase } from '../../src/clients/postgres.js';
import type { PlaidTransaction } from '../../domain/plaid.js';
import { refineTransaction } from '../../domain/mining/refine.js';
import { runPairs } from './pairs.js';
import type { PairResult } from './pairs.js';
import { startBenchSystem } from './system.js';
import { atLeast, known } from './workload.js';
import type { Workload } from './workload.js';

const items = 10;
const rowsPerItem = 100_000;
const connections = 16;
const secondsAHalf = 6;
const databaseConnections = 10;
/** Rows before the deep pages. */
const deep = 50_000;

interface Read {
  path: string;
  headers?: Record<string, string>;
}

async function idsOf(origin: string, { path, headers }: Read): Promise<string[]> {
  const answer = await fetch(`${origin}${path}`, headers ? { headers } : {});
  return ((await answer.json()) as { data: { id: string }[] }).data.map(({ id }) => id);
}

/** What `connections` clients get answered, one read after the other, in the time of a half. */
async function load(origin: string, reads: readonly Read[]): Promise<{ perSecond: number; p99Ms: number }> {
  const { requests, latency, duration, non2xx, errors, timeouts } = await autocannon({
    url: origin,
    connections,
    duration: secondsAHalf,
    requests: reads.map((read) => ({ method: 'GET', ...read })),
  });
  if (non2xx + errors + timeouts > 0) {
    throw new Error(`${non2xx} refused, ${errors} failed, ${timeouts} too late`);
  }
  return { perSecond: requests.total / duration, p99Ms: latency.p99 };
}

/** Reads on a million rows: our API against Express and pg with the very same statements, and against paging by OFFSET. */
export const w6: Workload = async ({ pairs, say }) => {
  const system = await startBenchSystem({ transactionsPerItem: 500 });
  let child: ChildProcess | undefined;
  try {
    const databaseUrl = await system.createDatabase('w6');
    const sql = openDatabase(databaseUrl, { max: 2 });
    const ids = await system.linkItems(databaseUrl, items);
    const truth = await system.sim<{ transactions: PlaidTransaction[] }>(`/_sim/items/${ids[0] ?? ''}/truth`);
    say(`${items * rowsPerItem} rows …`);
    const template = truth.transactions.map((raw) => ({
      raw,
      refined: refineTransaction(raw, { item_id: ids[0] ?? '', user_id: 'bench', institution_id: null }),
    }));
    await sql`CREATE UNLOGGED TABLE template WITH (toast_tuple_target = 8160) AS
      SELECT ord::int - 1 AS n, (value -> 'raw')::json AS raw, value -> 'refined' AS refined
      FROM jsonb_array_elements(${JSON.stringify(template)}::text::jsonb) WITH ORDINALITY AS e(value, ord)`;
    for (const id of ids) {
      await sql`
        INSERT INTO transactions (item_id, transaction_id, account_id, status, date, amount, currency, raw, refined, version)
        SELECT ${id}, 'tx-' || lpad(g::text, 8, '0'), refined ->> 'account_id', 'posted', current_date - (g % 730)::int,
          (refined ->> 'amount')::numeric, refined ->> 'currency', raw, refined::json, 1
        FROM generate_series(1, ${rowsPerItem}) AS g JOIN template ON n = g % ${template.length}`;
    }
    await sql`VACUUM ANALYZE transactions`;

    const key = randomBytes(16).toString('hex');
    await createStores(sql).applications.ensureAdmin(hashKey(key));
    const api = await system.startServer(databaseUrl, {
      ADMIN_API_KEY: key,
      DATABASE_CONNECTIONS: String(databaseConnections),
    });
    const other = (child = fork(fileURLToPath(new URL('./expressReads.ts', import.meta.url)), {
      execArgv: ['--import', import.meta.resolve('tsx')],
      env: { ...system.environment(databaseUrl), DATABASE_CONNECTIONS: String(databaseConnections) },
    }));
    const otherUrl = await new Promise<string>((resolve, reject) => {
      other.once('message', (message) => resolve((message as { url: string }).url));
      other.once('exit', (code) => reject(new Error(`the Express server ended with ${code}`)));
    });
    const headers = { authorization: `Bearer ${key}` };

    /** A deep page as each side asks for it. */
    const deepRead = async (id: string): Promise<{ ours: Read; theirs: Read; offset: Read }> => {
      const [at] = await sql<[{ date: string; transaction_id: string }]>`
        SELECT t.date::text AS date, t.transaction_id FROM transactions t WHERE t.item_id = ${id}
        ORDER BY t.date DESC, t.transaction_id OFFSET ${deep - 1} LIMIT 1`;
      const query = { itemId: id, statuses: ['pending', 'posted'], format: 'refined' };
      const cursor =
        writeCursor({ list: 'transactions', filters: query }, [at.date, at.transaction_id]) ?? '';
      return {
        ours: { path: `/v1/items/${id}/transactions?limit=100&cursor=${cursor}`, headers },
        theirs: { path: `/items/${id}/next?date=${at.date}&id=${at.transaction_id}` },
        offset: { path: `/items/${id}/offset?offset=${deep}` },
      };
    };
    const deepReads = await Promise.all(ids.map(deepRead));

    const worst: Record<string, number> = {};
    const rate = async (name: string, origin: string, reads: Read[]): Promise<number> => {
      const { perSecond, p99Ms } = await load(origin, reads);
      worst[name] = Math.max(worst[name] ?? 0, p99Ms);
      return perSecond;
    };
    for (const { ours, theirs, offset } of deepReads) {
      const [a, b, c] = await Promise.all([
        idsOf(api.url, ours),
        idsOf(otherUrl, theirs),
        idsOf(otherUrl, offset),
      ]);
      if (a.length !== 100 || a.join() !== b.join() || a.join() !== c.join()) {
        throw new Error('the sides do not answer with the same page');
      }
    }
    const compare = (name: string, ours: Read[], theirs: Read[]): Promise<PairResult> => {
      say(name);
      return runPairs(
        pairs,
        () => rate(`${name}, Sluice`, api.url, ours),
        () => rate(`${name}, other`, otherUrl, theirs),
        say,
      );
    };
    const first = (query: string): Read[] =>
      ids.map((id) => ({ path: `/v1/items/${id}/transactions?${query}`, headers }));
    const firstOfOther = (page: string): Read[] => ids.map((id) => ({ path: `/items/${id}/${page}` }));
    const shallow = await compare('100 rows', first('limit=100'), firstOfOther('first'));
    const deepPage = await compare(
      `100 rows after ${deep}`,
      deepReads.map(({ ours }) => ours),
      deepReads.map(({ theirs }) => theirs),
    );
    const raw = await compare('500 raw rows', first('limit=500&format=raw'), firstOfOther('raw'));
    const offset = await compare(
      `100 rows after ${deep}, against OFFSET`,
      deepReads.map(({ ours }) => ours),
      deepReads.map(({ offset: read }) => read),
    );
    await sql.end();
    return {
      result: { workload: 'W6', shallow, deep: deepPage, raw, offset, worst_p99_ms: worst },
      figures: [
        atLeast('W6 100 rows, over Express + pg with the same SQL', shallow, 1.5),
        atLeast(`W6 100 rows after ${deep}, over Express + pg with the same SQL`, deepPage, 1.5),
        atLeast('W6 500 raw rows, over Express + pg with the same SQL', raw, 1.5),
        atLeast(`W6 100 rows after ${deep}, over OFFSET`, offset, 8),
        known(
          'W6 requests a second: 100 rows, deep, 500 raw',
          [shallow, deepPage, raw].map(({ a }) => Math.round(Math.max(...a))).join(', '),
        ),
      ],
    };
  } finally {
    child?.disconnect();
    await system.stop();
  }
};
