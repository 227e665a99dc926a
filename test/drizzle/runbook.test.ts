import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import type { AlertKind } from '../../domain/ports/alerts.js';
import type { World } from './world.js';
import { linkedItem, openWorld } from './world.js';

/** An operator copies these at night: they have to run. */
const pageOf = (name: string): string =>
  readFileSync(fileURLToPath(new URL(`../../docs/${name}`, import.meta.url)), 'utf8');
const statements = ['operations.md', 'security.md'].flatMap((page) =>
  [...pageOf(page).matchAll(/^```sql\n([\s\S]*?)^```$/gm)].map(([, sql = '']) => ({ page, sql })),
);

/** A new kind of alert does not compile until it stands here, and fails until it has an entry. */
const alertKinds: Record<AlertKind, true> = {
  link_outcome_unknown: true,
  link_stuck: true,
  row_parked: true,
  record_parked: true,
  event_parked: true,
  token_refused: true,
  token_unreadable: true,
  endpoint_unreadable: true,
  removal_refused: true,
  numbers_unreadable: true,
  plaid_misconfigured: true,
  product_unavailable: true,
  plaid_code_unknown: true,
  cursor_lost: true,
  update_stuck: true,
  signal_refused: true,
  webhook_keys_busy: true,
  webhook_address: true,
  institutions_stuck: true,
  erasure_late: true,
  removal_waits_for_float: true,
  item_unknown: true,
};

let world: World;
beforeAll(async () => {
  world = await openWorld();
});
afterAll(() => world.close());

class RolledBack extends Error {}

async function tryOut(sql: string): Promise<void> {
  const tried = world.sql.begin(async (tx) => {
    await tx.unsafe(sql);
    throw new RolledBack();
  });
  await tried.catch((error: unknown) => {
    if (!(error instanceof RolledBack)) throw error;
  });
}

it('every statement of the runbook and of the page on security runs against the schema', async () => {
  await linkedItem(world);
  expect(statements.length).toBeGreaterThan(8);
  for (const { page, sql } of statements) {
    await tryOut(sql).catch((error: unknown) => {
      throw new Error(`${page}: ${String(error)} in\n${sql}`);
    });
  }
});

it('a statement that does not fit the schema is found', async () => {
  await expect(tryOut('SELECT nothing_of_ours FROM items')).rejects.toThrow('nothing_of_ours');
});

it.each(Object.keys(alertKinds))('the alert %s has an entry in the runbook', (kind) => {
  expect(pageOf('operations.md')).toContain(`### Alert \`${kind}\``);
});
