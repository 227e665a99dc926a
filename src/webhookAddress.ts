import { createStores } from '../drizzle/index.js';
import { createPlaid } from './clients/plaid.js';
import { openDatabase } from './clients/postgres.js';
import { createSecretBox } from './clients/secrets.js';
import { ConfigError, loadConfig, plaidOptions, plaidWebhookUrl } from './config.js';
import { openKeys } from './keys.js';
import { runJob } from './process.js';
import { updateWebhookAddresses } from './webhookAddresses.js';

const say = (line: string): void => void process.stdout.write(`${line}\n`);

/** After the service has moved: gives Plaid today's address for the webhooks of every Item. */
async function main(): Promise<boolean> {
  const config = loadConfig('webhookAddress');
  const webhookUrl = plaidWebhookUrl(config);
  const plaid = createPlaid({
    ...plaidOptions(config),
    webhookUrl: null,
  });
  const sql = openDatabase(config.DATABASE_URL, { max: 2 });
  try {
    const { sealedRows, alerts } = createStores(sql);
    const secrets = createSecretBox(await openKeys(config));
    const { kept, changed, failed, stopped } = await updateWebhookAddresses({
      plaid,
      secrets,
      rows: sealedRows,
      alerts,
      webhookUrl,
    });
    for (const { itemId, failure } of failed) say(`left as it is: ${itemId}: ${failure.message}`);
    if (stopped) say('Plaid goes on asking to wait: the others were not asked for. Run it again later.');
    say(`${webhookUrl}: ${changed} Items changed, ${kept} had it, ${failed.length} left as they are`);
    return failed.length === 0;
  } finally {
    plaid.close();
    await sql.end({ timeout: 5 });
  }
}

await runJob('webhook-address', main, ConfigError, 'Nothing is lost: run it again.');
