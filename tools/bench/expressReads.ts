import { ourselves } from '../../domain/exchange/viewer.js';
import express from 'express';
import { Pool, types } from 'pg';
import postgres from 'postgres';
import { createStores } from '../../drizzle/index.js';
import type { Form } from '../../domain/mining/events.js';
import type { PageKey } from '../../domain/ports/pages.js';
import { given } from './environment.js';

/**
 * A child process of W6: the same reads as anybody would first write them, with Express and pg. The statements are the very ones
 * that our API sends, listened to on their way; one more pages by OFFSET.
 */
const url = given('DATABASE_URL');
const connections = Number(given('DATABASE_CONNECTIONS'));
const itemId = { stands: 'for an Item' };
const day = '2000-01-01';
const row = 'stands-for-a-row';

interface Statement {
  text: string;
  parameters: unknown[];
}
const heard: Statement[] = [];
const listening = postgres(url, {
  max: 1,
  debug: (_connection, text, parameters) => heard.push({ text, parameters: [...parameters] }),
});
const { reads } = createStores(listening);
const placeholder = itemId.stands;

async function statementOf(read: () => Promise<unknown>): Promise<Statement> {
  await read();
  const statement = heard.at(-1);
  if (statement === undefined) throw new Error('no statement was heard');
  return statement;
}
const pageOf = (format: Form, limit: number, after: PageKey | null): Promise<Statement> =>
  statementOf(() =>
    reads.transactions(
      ourselves,
      {
        itemId: placeholder,
        statuses: ['pending', 'posted'],
        format,
        account_id: undefined,
        from: undefined,
        to: undefined,
      },
      limit,
      after,
    ),
  );

const pool = new Pool({ connectionString: url, max: connections });
pool.on('error', () => undefined); // the database ends before we do
types.setTypeParser(types.builtins.DATE, (text) => text);
const filled = ({ parameters }: Statement, item: string, after?: { date: string; id: string }): unknown[] =>
  parameters.map((value) => {
    if (value === placeholder) return item;
    if (value === day) return after?.date;
    if (value === row) return after?.id;
    return value;
  });

const statements = {
  first: await pageOf('refined', 100, null),
  next: await pageOf('refined', 100, [day, row]),
  raw: await pageOf('raw', 500, null),
};
const byOffset = `SELECT t.refined::text AS body, t.version FROM transactions t
  WHERE t.item_id = $1 AND t.status = ANY($2::text[]) ORDER BY t.date DESC, t.transaction_id LIMIT $3 OFFSET $4`;
await listening.end();

/** The one row that our statement gives, by column. */
type Page = [
  items: object[],
  key1: string,
  key2: string,
  key3: string | null,
  versions: string | null,
  bodies: string,
];
interface Row {
  body: string;
  version: number | null;
}

const objectsOf = (bodies: string[], versions: (number | null)[]): object[] =>
  bodies.map((body, index) => {
    const version = versions[index] ?? null;
    return { ...(JSON.parse(body) as object), ...(version === null ? {} : { version }) };
  });

const app = express();
app.get('/items/:item/:page', async (request, response) => {
  const { item, page } = request.params;
  const { date, id, offset } = request.query as Record<string, string | undefined>;
  if (page === 'offset') {
    const values = [item, ['pending', 'posted'], 100, Number(offset)];
    const { rows } = await pool.query<Row>({ name: page, text: byOffset, values });
    response.json({
      data: objectsOf(
        rows.map(({ body }) => body),
        rows.map(({ version }) => version),
      ),
    });
    return;
  }
  const ours = statements[page as keyof typeof statements];
  const { rows } = await pool.query<Page>({
    name: page,
    text: ours.text,
    values: filled(ours, item, { date: date ?? '', id: id ?? '' }),
    rowMode: 'array',
  });
  const [items, , , , versions, bodies] = rows[0] as Page;
  response.json({
    // One row more is asked for than is shown: it shows whether there is a next page.
    data: objectsOf(
      bodies.split('\x1e').slice(0, page === 'raw' ? 500 : 100),
      versions?.split(',').map(Number) ?? [],
    ),
    items,
  });
});
const server = app.listen(0, '127.0.0.1', () => {
  const address = server.address();
  process.send?.({ url: `http://127.0.0.1:${typeof address === 'object' && address ? address.port : 0}` });
});
process.once('disconnect', () => process.exit());
