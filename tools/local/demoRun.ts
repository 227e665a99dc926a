import { readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { compareCustomUser, type CustomUserFile } from './compareCustomUser.js';
import { compareItem, type Difference, type Observed, type Truth } from './compare.js';
import { openDatabaseReader, type DatabaseReader } from './databaseReader.js';
import { simulatorClient, sluiceClient, type DemoItem } from './demoClients.js';
import type { StackFile } from './deployment.js';
import { say } from './progress.mjs';
import { SetupFailure } from './setupFailure.mjs';
import { openStreamReader, type StreamReader } from './streamReader.js';

const DEMO_USER = 'demo';

export interface DemoOptions {
  readonly stack: StackFile;
  /** A file in Plaid's custom-user format to link instead of the generated user. */
  readonly customUser: string | undefined;
  readonly signal: AbortSignal;
}

export interface ComparedItem {
  readonly itemId: string;
  readonly truth: Truth;
  readonly observed: Observed;
  readonly differences: readonly Difference[];
  /** Said in the summary: rows that were left out of a comparison, and why. */
  readonly notes: readonly string[];
}

/** Nothing changes any more for this long and it is still not equal: it never will be. */
const STALLED_MS = 90_000;
const POLL_MS = 500;
const SAY_EVERY_MS = 2_000;
const SAY_REPEAT_MS = 15_000;

/**
 * Links the demo user unless that was done at an earlier start, lets the bank's history arrive and change, and compares every
 * item of the user with the truth once all is quiet.
 */
export async function runDemo(options: DemoOptions): Promise<readonly ComparedItem[]> {
  const { stack, signal } = options;
  const sluice = sluiceClient(stack, signal);
  const customUser = options.customUser === undefined ? undefined : readCustomUser(options.customUser);
  const database = openDatabaseReader(stack.database_url);
  const streams = openStreamReader(stack.kinesis_endpoint);
  try {
    const before = await sluice.items(DEMO_USER);
    if (before.length === 0 || customUser)
      before.push(await linkAndDrive(options, customUser, { database, streams }));
    const compared: ComparedItem[] = [];
    for (const item of before) {
      compared.push(await compareWhenQuiet(item, options, { database, streams }, customUser));
    }
    return compared;
  } finally {
    streams.close();
    await database.close();
  }
}

interface Readers {
  readonly database: DatabaseReader;
  readonly streams: StreamReader;
}

async function linkAndDrive(
  options: DemoOptions,
  customUser: CustomUserFile | undefined,
  readers: Readers,
): Promise<DemoItem> {
  const { stack, signal } = options;
  const simulator = simulatorClient(stack, signal);
  const sluice = sluiceClient(stack, signal);
  say(`linking user "${DEMO_USER}" …`);
  const publicToken = await simulator.createPublicToken(`${stack.api_url}/webhooks/plaid`, customUser);
  const item = await sluice.link(DEMO_USER, publicToken);
  say(`linked item ${item.item_id}; its bank now has the last month, then two years`);
  await simulator.advance(item.item_id, 'initial');
  await waitForItem(item.item_id, options, readers, ({ history }) => history !== 'none');
  await simulator.advance(item.item_id, 'historical');
  await waitForItem(
    item.item_id,
    options,
    readers,
    ({ history, phase }) => history === 'complete' && phase === 'idle',
  );
  if (customUser === undefined) await changeTheBank(simulator, item.item_id);
  return item;
}

/** One of each thing that a bank does after the first read. */
async function changeTheBank(simulator: ReturnType<typeof simulatorClient>, itemId: string): Promise<void> {
  const { transactions } = await simulator.truth(itemId);
  const posted = transactions.filter((row) => row['pending'] === false);
  const pending = transactions.find((row) => row['pending'] === true);
  const [modified, removed] = [posted.at(-1), posted.at(-2)];
  say('the bank changes: transactions added, modified, posted and removed …');
  await simulator.change(itemId, {
    add: [
      { amount: 12.34, name: 'Sluice Demo Coffee' },
      { amount: -1200, name: 'Sluice Demo Payroll' },
      { amount: 3.005, name: 'Sluice Demo Transit', pending: true },
    ],
    ...(modified && { modify: [{ transaction_id: modified.transaction_id, amount: 77.7 }] }),
    ...(removed && { remove: [removed.transaction_id] }),
    ...(pending && { post: [{ transaction_id: pending.transaction_id }] }),
  });
}

async function waitForItem(
  itemId: string,
  options: DemoOptions,
  { database }: Readers,
  isThere: (item: DemoItem) => boolean,
): Promise<void> {
  const sluice = sluiceClient(options.stack, options.signal);
  const patience = startPatience();
  for (;;) {
    const item = await sluice.item(itemId);
    if (isThere(item)) return;
    const stored = await database.countTransactions(itemId);
    patience.saw(
      `item ${item.phase}, history ${item.history}, ${stored.toLocaleString('en-US')} transactions stored`,
    );
    if (patience.isOver()) throw new SetupFailure(`item ${itemId} does not move on: ${patience.last()}`);
    await sleep(POLL_MS, undefined, { signal: options.signal });
  }
}

/** Compares until two comparisons in a row, a second apart, find all quiet and equal; else says what still differs. */
async function compareWhenQuiet(
  item: DemoItem,
  options: DemoOptions,
  readers: Readers,
  customUser: CustomUserFile | undefined,
): Promise<ComparedItem> {
  const itemId = item.item_id;
  const simulator = simulatorClient(options.stack, options.signal);
  const sluice = sluiceClient(options.stack, options.signal);
  const patience = startPatience();
  let equalBefore = false;
  for (;;) {
    const truth = await simulator.truth(itemId);
    const observed = await observe(itemId, readers);
    const differences = compareItem(truth, observed);
    const busy = [
      truth.webhooks_due > 0 ? `${truth.webhooks_due} webhooks on their way` : '',
      describePending(await sluice.pendingWebhooks(itemId)),
      describeUnsent(await readers.database.countUnsent(itemId)),
    ].filter(Boolean);
    const equal = differences.length === 0 && busy.length === 0;
    if ((equal && equalBefore) || (!equal && patience.isOver())) {
      const { phase } = await sluice.item(itemId);
      const unquiet = equal
        ? []
        : busy.map((problem) => ({ store: 'postgres' as const, id: itemId, problem }));
      const custom = customUser && compareFile(customUser, truth, observed, item.created_at);
      return {
        itemId,
        truth,
        observed,
        differences: [...differences, ...unquiet, ...(custom?.differences ?? [])],
        notes: [
          `item is ${phase}`,
          ...(custom ? [`${custom.rows} rows of the custom user file compared`] : []),
          ...(custom?.cut.map((row) => `older than two years, not served: ${row}`) ?? []),
        ],
      };
    }
    equalBefore = equal;
    const stored = observed.transactions.filter(({ live }) => live).length;
    patience.saw(
      [
        `${stored.toLocaleString('en-US')} transactions stored, ${differences.length} differences`,
        ...busy,
      ].join(', '),
    );
    await sleep(equal ? 1_000 : POLL_MS, undefined, { signal: options.signal });
  }
}

async function observe(itemId: string, { database, streams }: Readers): Promise<Observed> {
  const records = await database.readItem(itemId);
  await streams.readOn();
  return { ...records, events: streams.eventsOf(itemId) };
}

function compareFile(file: CustomUserFile, truth: Truth, observed: Observed, createdAt: string) {
  return compareCustomUser(
    file,
    truth.accounts.map((account) => account.account_id),
    createdAt,
    observed,
  );
}

function describePending(count: number): string {
  return count > 0 ? `${count} webhooks not acted on` : '';
}

function describeUnsent(count: number): string {
  return count > 0 ? `${count} changes not yet on a stream` : '';
}

function readCustomUser(file: string): CustomUserFile {
  try {
    return JSON.parse(readFileSync(file, 'utf8')) as CustomUserFile;
  } catch (error) {
    throw new SetupFailure(`--custom-user ${file} cannot be read as JSON: ${(error as Error).message}`);
  }
}

/** Says what it sees every few seconds; is over when it saw the same for too long. */
function startPatience() {
  let lastSeen = '';
  let changedAt = performance.now();
  let saidAt = performance.now();
  return {
    saw(state: string): void {
      const now = performance.now();
      const isNew = state !== lastSeen;
      if (isNew) [lastSeen, changedAt] = [state, now];
      if (now - saidAt < (isNew ? SAY_EVERY_MS : SAY_REPEAT_MS)) return;
      saidAt = now;
      say(state);
    },
    isOver: () => performance.now() - changedAt > STALLED_MS,
    last: () => lastSeen,
  };
}
