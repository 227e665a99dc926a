import { existsSync, readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { compareCustomUser } from '../../tools/local/compareCustomUser.js';
import type { CustomUserFile } from '../../tools/local/compareCustomUser.js';
import { minedItem, truthOf } from './linkedItem.js';
import { closeOracle, expectTruth, readStored } from './oracle.js';
import { startSystem } from './system.js';
import type { System } from './system.js';

/** Plaid's own published sandbox users; they lie beside the clone where there are any, and are no part of it. */
const folder = fileURLToPath(new URL('../../../shared/custom-users/', import.meta.url));
const files = existsSync(folder) ? readdirSync(folder).filter((name) => name.endsWith('.json')) : [];

(files.length > 0 ? describe : describe.skip)("Plaid's published custom users", () => {
  let system: System;
  beforeAll(async () => {
    system = await startSystem();
  });
  afterAll(async () => {
    closeOracle(system);
    await system.stop();
  });

  it.each(files.length > 0 ? files : ['none here'])('%s is mined as the file says', async (name) => {
    const file = JSON.parse(readFileSync(path.join(folder, name), 'utf8')) as CustomUserFile;
    const itemId = await minedItem(system, { customUser: file });
    await expectTruth(system, itemId);
    const { accounts } = await truthOf(system, itemId);
    const { body } = await system.api('GET', `/v1/items/${itemId}`);
    const compared = compareCustomUser(
      file,
      accounts.map((account: { account_id: string }) => account.account_id),
      String(body['created_at']),
      await readStored(system, itemId),
    );
    expect(compared.differences).toEqual([]);
    const given = (file.override_accounts ?? []).flatMap((account) => account.transactions ?? []);
    expect(compared.rows + compared.cut.length).toBe(given.length);
  });
});
