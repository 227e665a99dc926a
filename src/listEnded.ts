import { once } from 'node:events';
import { createStores } from '../drizzle/index.js';
import { endedLines, nothingEnded } from '../domain/exchange/ended.js';
import type { Ended } from '../domain/exchange/ended.js';
import { openDatabase } from './clients/postgres.js';
import { ConfigError, loadConfig } from './config.js';
import { runJob } from './process.js';

const rowsAtOnce = 5_000;

async function write(ended: Partial<Ended>): Promise<void> {
  const text = endedLines({ ...nothingEnded(), ...ended }).map((line) => `${line}\n`);
  if (!process.stdout.write(text.join(''))) await once(process.stdout, 'drain');
}

/** Writes everything, page by page; `keyOf` gives the key of a page's last row. */
async function writeAll<Row>(
  read: (after: string | null, limit: number) => Promise<Row[]>,
  keyOf: (row: Row) => string,
  ended: (rows: Row[]) => Partial<Ended>,
): Promise<void> {
  for (let after: string | null = null; ;) {
    const rows: Row[] = await read(after, rowsAtOnce);
    await write(ended(rows));
    const last = rows.at(-1);
    if (last === undefined || rows.length < rowsAtOnce) return;
    after = keyOf(last);
  }
}

/** Lines of JSON of all that has ended for good. Kept elsewhere than the backups, they outlive the database. */
async function main(): Promise<boolean> {
  const config = loadConfig('listEnded');
  const sql = openDatabase(config.DATABASE_URL, { max: 2, readsOnly: true });
  try {
    const { erasures, restores } = createStores(sql);
    const itself = (id: string): string => id;
    await writeAll(
      (...page) => erasures.past(...page),
      ({ erasureId }) => erasureId,
      (rows) => ({ erasures: rows }),
    );
    await writeAll(
      (...page) => restores.ended('item', ...page),
      itself,
      (items) => ({ items }),
    );
    await writeAll(
      (...page) => restores.ended('connection', ...page),
      itself,
      (connections) => ({ connections }),
    );
    await writeAll(
      (...page) => restores.ended('key', ...page),
      itself,
      (keys) => ({ keys }),
    );
    await writeAll(
      (...page) => restores.ended('endpoint', ...page),
      itself,
      (endpoints) => ({ endpoints }),
    );
    await writeAll(
      (...page) => restores.connectedApplications(...page),
      itself,
      (applications) => ({ applications }),
    );
    await writeAll(
      (...page) => restores.narrowed(...page),
      ({ connectionId }) => connectionId,
      (narrowed) => ({ narrowed }),
    );
    return true;
  } finally {
    await sql.end({ timeout: 5 });
  }
}

await runJob(
  'list-ended',
  main,
  ConfigError,
  'The list is not whole: keep the one from before, and run it again.',
);
