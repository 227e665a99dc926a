import { createStores } from '../drizzle/index.js';
import { openDatabase } from './clients/postgres.js';
import { ConfigError, loadConfig } from './config.js';
import { runJob } from './process.js';

const say = (line: string): void => void process.stdout.write(`${line}\n`);

const itemsAtOnce = 500;

/**
 * After the database was set back to a backup, before anything else runs and after `reapply`: what others hold of the time since must not be taken for ours,
 * and what Plaid knows better is asked for.
 */
async function main(): Promise<boolean> {
  const config = loadConfig('restored');
  const sql = openDatabase(config.DATABASE_URL, { max: 2 });
  try {
    const { restores } = createStores(sql);
    const restore = await restores.begin();
    let items = 0;
    let records = 0;
    for (let after: string | null = null; ;) {
      const page = await restores.republish(restore, after, itemsAtOnce);
      items += page.items;
      records += page.records;
      if (page.next === null) break;
      after = page.next;
      say(`${items} Items so far`);
    }
    await restores.finish(restore.restoreId);
    say(
      `${items} Items are due, and ${records} records of theirs are told once more, numbered above ${restore.base}`,
    );
    if (restore.doubtedLinks > 0) {
      say(`${restore.doubtedLinks} links were on their way: alerts link_outcome_unknown will name them`);
    }
    say('Next: start the service on an empty Temporal.');
    return true;
  } finally {
    await sql.end({ timeout: 5 });
  }
}

await runJob('restored', main, ConfigError, 'Nothing is lost: run it again, it begins anew.');
