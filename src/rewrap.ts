import { parseArgs } from 'node:util';
import { createStores } from '../drizzle/index.js';
import { openDatabase } from './clients/postgres.js';
import { ConfigError, loadConfig } from './config.js';
import { openKeys } from './keys.js';
import { runJob } from './process.js';
import { rewrapAll } from './rewrapAll.js';

const say = (line: string): void => void process.stdout.write(`${line}\n`);

const { values: given } = parseArgs({ options: { all: { type: 'boolean', default: false } } });

/** After a rotation: brings every data key under today's key, and says which keys may go. Run it again whenever it was ended. */
async function main(): Promise<boolean> {
  const config = loadConfig('rewrap');
  const provider = await openKeys(config);
  const sql = openDatabase(config.DATABASE_URL, { max: 8 });
  try {
    const { sealedRows } = createStores(sql);
    const { keyId, rewrapped, failed } = await rewrapAll(provider, sealedRows, { all: given.all });
    for (const [kind, count] of Object.entries(rewrapped)) say(`${kind}: ${count} re-wrapped`);
    for (const { row, failure } of failed) {
      // An answer's id holds what a client wrote into a path.
      const where = row.kind === 'answers' ? '' : ` ${row.id.join(' / ')}`;
      say(`left as it is: ${row.kind}${where} (key ${row.sealed.keyId}): ${failure.message}`);
    }
    const others = [...(await sealedRows.keysInUse())].filter(([key]) => key !== keyId);
    for (const [key, count] of others) {
      say(
        `${count} secrets are still under ${key}: keep it. Do they open? Does a process still run with it first?`,
      );
    }
    if (others.length === 0) say(`every secret is under ${keyId}: the other keys may go`);
    return others.length === 0 && failed.length === 0;
  } finally {
    await sql.end({ timeout: 5 });
  }
}

await runJob('rewrap', main, ConfigError, 'Nothing is lost: run it again, it goes on with what is left.');
