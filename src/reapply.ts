import { createReadStream } from 'node:fs';
import { createInterface } from 'node:readline';
import type { Ended } from '../domain/exchange/ended.js';
import { newestOf, nothingEnded, readEnded } from '../domain/exchange/ended.js';
import { ourselves } from '../domain/exchange/viewer.js';
import { createStores } from '../drizzle/index.js';
import { openDatabase } from './clients/postgres.js';
import { ConfigError, loadConfig } from './config.js';
import { runJob } from './process.js';

const say = (line: string): void => void process.stdout.write(`${line}\n`);

const [file] = process.argv.slice(2);

/** Everything that the lines tell of; a line that is none of JSON, or lacks what it needs, is refused before anything is done. */
async function readLines(): Promise<Ended> {
  const found = nothingEnded();
  const input = file === undefined ? process.stdin : createReadStream(file, 'utf8');
  let number = 0;
  for await (const line of createInterface({ input, crlfDelay: Infinity })) {
    number += 1;
    if (line.trim() === '') continue;
    try {
      readEnded(JSON.parse(line), found);
    } catch (error) {
      // JSON's own message holds the text.
      const why = error instanceof SyntaxError ? 'is not JSON' : (error as Error).message;
      throw new ConfigError(`line ${number}: ${why}. Nothing was done.`);
    }
  }
  return found;
}

/**
 * After a restore: ends once more what had ended since the backup. Erasures of users who are back and removals of Items are asked for,
 * connections and API keys revoked, endpoints deleted, connections and applications cut to what they could read last. What is ended already
 * stays as it is; run it again whenever more is known.
 */
async function main(): Promise<boolean> {
  const config = loadConfig('reapply');
  const ended = await readLines();
  const sql = openDatabase(config.DATABASE_URL, { max: 2 });
  try {
    const { erasures, itemCommands, connections, restores } = createStores(sql);
    const begun = await erasures.reapply(ended.erasures);
    for (const erasureId of begun) say(`erasure ${erasureId}: asked for again, a worker carries it out`);
    const items = await restores.live('item', ended.items);
    for (const id of items) await itemCommands.requestRemoval(id, { force: true });
    const live = await restores.live('connection', ended.connections);
    const actor = {
      initiator: 'operator' as const,
      applicationId: null,
      keyId: null,
      reason: 'revoked before a restore',
    };
    for (const id of live) await connections.revoke(ourselves, id, { actor });
    let cut = 0;
    for (const limit of newestOf(ended.narrowed)) cut += Number(await connections.cut(limit));
    const keys = await restores.end('key', ended.keys);
    const endpoints = await restores.end('endpoint', ended.endpoints);
    const lowered = await restores.lowerAccess(ended.applications);
    say(`${Object.values(ended).flat().length} endings read`);
    say(
      `asked for again: ${begun.length} erasures, the removal of ${items.length} Items; revoked: ${live.length} connections, ${keys} keys; ` +
        `deleted: ${endpoints} endpoints; narrowed: ${cut} connections, ${lowered} applications`,
    );
    return true;
  } finally {
    await sql.end({ timeout: 5 });
  }
}

await runJob('reapply', main, ConfigError, 'Run it again: what was done stays done.');
