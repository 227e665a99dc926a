import { readdirSync, readFileSync } from 'node:fs';
import { isDeepStrictEqual } from 'node:util';
import { Ajv2020 } from 'ajv/dist/2020.js';
import formats from 'ajv-formats';
import type { Difference, StoredRecord, StreamEvent, StreamName, Truth } from '../local/compare.js';
import { compareItem, STREAMS } from '../local/compare.js';
import type { FeedPage } from '../local/feedCopy.js';
import { FeedCopy } from '../local/feedCopy.js';
import type { StreamReader } from '../local/streamReader.js';
import { openStreamReader } from '../local/streamReader.js';
import { until } from './until.js';
import type { Verdict } from './verdict.js';
import { emptyVerdict } from './verdict.js';
import type { System } from './system.js';

export interface Examined extends Verdict {
  /** Events that came more than once under the same id: allowed, consumers drop them. */
  repeats: number;
  /** Live transactions. */
  transactions: number;
}

type Json = Record<string, unknown>;

interface OutboxRecord {
  id: string;
  sequence: number;
  record: 'transaction' | 'account';
  removed: boolean;
  subject: string;
  version: number;
  raw: Json;
  refined: Json;
}

interface StoredVersion extends StoredRecord {
  version: number;
}

interface Stored {
  transactions: StoredVersion[];
  accounts: StoredVersion[];
  outbox: OutboxRecord[];
  lastSequence: number;
}

/** Conditions that are being waited for: shown when a test runs out of time. */
const waiting = new Set<() => string>();

/** What the oracle still waits for, one line each; for `afterEach`, where a test that ran out of time is told of. */
export const stillWaiting = (): string[] => [...waiting].map((describe) => describe());

/**
 * Waits until nothing is on its way for the Item, neither at the simulator nor here. `phase` is the phase in which it comes to
 * rest. Bounded by the test's own time-out.
 */
export async function untilQuiet(system: System, itemId: string, phase = 'idle'): Promise<void> {
  let unmet = 'nothing looked at yet';
  const describe = (): string => `item ${itemId}: ${unmet}`;
  waiting.add(describe);
  try {
    await until(async () => {
      unmet = await unrest(system, itemId, phase);
      return unmet === '';
    }, 150);
  } finally {
    waiting.delete(describe);
  }
}

/**
 * Of the API's webhooks. One may come after an update that has answered its webhook, and then another update follows.
 */
async function signalsWaiting(system: System): Promise<number> {
  const { body } = await system.api<{ text: string }>('GET', '/metrics');
  return Number(/^sluice_api_signals_waiting (\d+)/m.exec(body.text)?.[1] ?? 0);
}

/** Why the Item is not at rest; '' when it is. The order matters: what leaves one place is in the next one already. */
export async function unrest(system: System, itemId: string, phase: string): Promise<string> {
  const truth = await system.sim<Truth>(`/_sim/items/${itemId}/truth`);
  if (truth.webhooks_due > 0) return `${truth.webhooks_due} webhooks on their way`;
  const [row] = await system.sql<
    {
      pending: number;
      unsent: boolean;
      staged: number;
      started: boolean;
      numbers: boolean;
      removed: boolean;
    }[]
  >`
    SELECT unsent_since IS NOT NULL AS unsent, update_started_at IS NOT NULL AS started,
      removed_at IS NOT NULL AS removed, coalesce(numbers_due_at <= now(), false) AS numbers,
      (SELECT count(*)::int FROM webhooks w WHERE w.item_id = i.item_id AND w.outcome = 'pending') AS pending,
      (SELECT count(*)::int FROM staged_pages s WHERE s.item_id = i.item_id) AS staged
    FROM items i WHERE item_id = ${itemId}`;
  if (row === undefined) return 'not stored';
  if (row.pending > 0) return `${row.pending} webhooks pending`;
  if (row.staged > 0) return `${row.staged} pages staged`;
  if (row.started) return 'an update is on its way';
  if (row.unsent) return 'streams lack changes';
  if (row.removed) return phase === 'removed' ? '' : 'removed';
  if ((await signalsWaiting(system)) > 0) return 'signals on their way';
  const { body } = await system.api('GET', `/v1/items/${itemId}/sync`);
  if (body['phase'] !== phase) return `phase ${String(body['phase'])}`;
  if (body['progress'] !== null) return 'the workflow updates';
  // Of a broken Item they are not read.
  if (phase === 'idle' && row.numbers) return 'account numbers are due';
  // At rest the next update lies a day ahead; one that a late signal has asked for starts within the second.
  if (phase === 'idle' && body['history'] === 'complete' && isSoon(body['next_due_at']))
    return 'an update is due';
  return body['waiting_for_publish'] === true ? 'the workflow wants to publish' : '';
}

const isSoon = (dueAt: unknown): boolean => Date.parse(String(dueAt)) < Date.now() + 60_000;

/** The comparison alone, as it stands now. */
export async function examine(system: System, itemId: string): Promise<Examined> {
  const truth = await system.sim<Truth>(`/_sim/items/${itemId}/truth`);
  const stored = await readStored(system, itemId);
  const events = await readEvents(system, itemId);
  const examined: Examined = {
    ...emptyVerdict(),
    repeats: 0,
    transactions: truth.transactions.length,
  };
  for (const difference of compareItem(truth, { ...stored, events })) sortInto(examined, difference);
  checkOutbox(examined, stored);
  checkEvents(examined, stored, events);
  await checkFeed(examined, stored, system, itemId);
  await checkUpdatedEvents(examined, stored, system, itemId);
  return examined;
}

function sortInto(verdict: Verdict, { store, problem, id }: Difference): void {
  const line = `${store}: ${id}: ${problem}`;
  if (/^sequence \d+ belongs to/.test(problem)) verdict.dup.push(line);
  else if (/is missing$|is live here$/.test(problem)) verdict.lost.push(line);
  else if (/in truth it (is not|never was)$/.test(problem)) verdict.phantom.push(line);
  else if (problem.includes('differs')) verdict.stale.push(line);
  else verdict.other.push(line);
}

/** One outbox row a version, numbered without gaps, and the last one of each record says what the record says. */
function checkOutbox(verdict: Verdict, { transactions, accounts, outbox, lastSequence }: Stored): void {
  outbox.forEach(({ sequence }, index) => {
    if (sequence !== index + 1) verdict.other.push(`outbox: number ${sequence} at place ${index + 1}`);
  });
  if (lastSequence !== outbox.length) {
    verdict.other.push(`item: last sequence ${lastSequence}, outbox has ${outbox.length} rows`);
  }
  const versions = new Map<string, OutboxRecord[]>();
  for (const row of outbox) {
    const key = `${row.record} ${row.subject}`;
    versions.set(key, [...(versions.get(key) ?? []), row]);
  }
  const records = new Map<string, StoredVersion>([
    ...transactions.map((row) => [`transaction ${row.id}`, row] as const),
    ...accounts.map((row) => [`account ${row.id}`, row] as const),
  ]);
  for (const [key, record] of records) {
    const changes = versions.get(key) ?? [];
    if (changes.length < record.version)
      verdict.lost.push(`outbox: ${key}: version ${record.version} untold`);
    if (changes.length > record.version) {
      verdict.dup.push(`outbox: ${key}: ${changes.length} rows for version ${record.version}`);
    }
    if (changes.some(({ version }, index) => version !== index + 1)) {
      verdict.other.push(`outbox: ${key}: versions ${changes.map(({ version }) => version).join(', ')}`);
    }
    const last = changes.at(-1);
    if (last === undefined) continue;
    if (!isDeepStrictEqual(last.refined, { ...record.refined, version: record.version })) {
      verdict.stale.push(`outbox: ${key}: the last row's refined form is not the record's`);
    }
    if (!last.removed && !isDeepStrictEqual(last.raw, record.raw)) {
      verdict.stale.push(`outbox: ${key}: the last row's raw form is not the record's`);
    }
  }
  for (const key of versions.keys()) {
    if (!records.has(key)) verdict.phantom.push(`outbox: ${key} is no record`);
  }
}

/** Each outbox row is told once in each of its two forms, as its schema says; whatever comes again is the same again. */
function checkEvents(verdict: Examined, { outbox }: Stored, events: Record<StreamName, StreamEvent[]>): void {
  for (const name of STREAMS) {
    const [form, records] = name.split('-') as ['raw' | 'refined', 'transactions' | 'accounts'];
    const rows = new Map(
      outbox.filter(({ record }) => `${record}s` === records).map((row) => [`${row.id}.${form}`, row]),
    );
    const seen = new Map<string, StreamEvent>();
    for (const event of events[name]) {
      const before = seen.get(event.id);
      if (before === undefined) seen.set(event.id, event);
      else {
        verdict.repeats += 1;
        if (!isDeepStrictEqual(before, event))
          verdict.dup.push(`${name}: ${event.id} came with two contents`);
      }
    }
    for (const [id, row] of rows) {
      if (!seen.has(id)) verdict.lost.push(`${name}: ${id} (number ${row.sequence}) was not told`);
    }
    for (const [id, event] of seen) {
      const row = rows.get(id);
      if (row === undefined) verdict.phantom.push(`${name}: ${id} is no outbox row`);
      else if (row.sequence !== event.sequence || row.subject !== event.subject) {
        verdict.other.push(`${name}: ${id} has another number or subject than its outbox row`);
      }
      for (const problem of schemaErrors(event).slice(0, 2)) verdict.other.push(`${name}: ${id}: ${problem}`);
    }
  }
}

export async function readStored(system: System, itemId: string): Promise<Stored> {
  return system.sql.begin('isolation level repeatable read read only', async (tx) => {
    type Row = { id: string; raw: Json | null; refined: Json; status: string; version: number };
    const transactions = await tx<Row[]>`
      SELECT transaction_id AS id, raw, refined, status, version FROM transactions WHERE item_id = ${itemId}`;
    const accounts = await tx<Row[]>`
      SELECT account_id AS id, raw, refined, status, version FROM accounts WHERE item_id = ${itemId}`;
    const outbox = await tx<(Omit<OutboxRecord, 'sequence'> & { sequence: string })[]>`
      SELECT id, sequence, record, removed, subject, version, raw, refined FROM outbox
      WHERE item_id = ${itemId} ORDER BY sequence`;
    const [item] = await tx<{ last: number }[]>`
      SELECT last_sequence::int AS last FROM items WHERE item_id = ${itemId}`;
    const stored = (row: Row): StoredVersion => ({
      id: row.id,
      raw: row.raw ?? {},
      refined: row.refined,
      version: row.version,
      live: row.status !== 'removed' && row.status !== 'closed',
    });
    return {
      transactions: transactions.map(stored),
      accounts: accounts.map(stored),
      outbox: outbox.map((row) => ({ ...row, sequence: Number(row.sequence) })),
      lastSequence: item?.last ?? 0,
    };
  });
}

const followers = new WeakMap<System, Map<string, FeedCopy>>();

/** A client that has followed the Item's change feed since it was looked at first, over REST alone. */
function followerOf(system: System, itemId: string): FeedCopy {
  const known = followers.get(system) ?? new Map<string, FeedCopy>();
  followers.set(system, known);
  const ask = async (query: string) => {
    const route = `/v1/items/${itemId}/changes?limit=500&${query}`;
    const { status, body } = await system.api<FeedPage>('GET', route);
    if (status === 410) return 'expired' as const;
    if (status !== 200) throw new Error(`changes: ${status}`);
    return body;
  };
  const copy =
    known.get(itemId) ??
    new FeedCopy(
      {
        async snapshot(cursor) {
          const page = await ask(`snapshot=true${cursor === null ? '' : `&cursor=${cursor}`}`);
          if (page === 'expired') throw new Error('a snapshot is never too old');
          return page;
        },
        changes: (after) => ask(`after=${after}`),
      },
      { fromStart: known.size % 2 === 0 },
    );
  known.set(itemId, copy);
  return copy;
}

/** Who follows the change feed holds exactly what is live. */
async function checkFeed(verdict: Verdict, stored: Stored, system: System, itemId: string): Promise<void> {
  const copy = followerOf(system, itemId);
  await copy.follow();
  for (const record of ['transaction', 'account'] as const) {
    const held = copy.held(record);
    for (const { id, live, refined, version } of stored[`${record}s`]) {
      const object = held.get(id);
      held.delete(id);
      if (live && object === undefined) verdict.lost.push(`feed: ${record} ${id} is missing`);
      if (!live && object !== undefined) verdict.phantom.push(`feed: ${record} ${id} is live there`);
      if (live && object !== undefined && !isDeepStrictEqual(object, { ...refined, version })) {
        verdict.stale.push(`feed: ${record} ${id} differs`);
      }
    }
    for (const id of held.keys()) verdict.phantom.push(`feed: ${record} ${id} is no record`);
  }
}

/** Applications are told of each change once: the ranges of `item.updated` follow each other up to the last change. */
async function checkUpdatedEvents(
  verdict: Verdict,
  { lastSequence }: Stored,
  system: System,
  itemId: string,
): Promise<void> {
  const ranges = await system.sql<{ first: number; last: number }[]>`
    SELECT (data->>'from_sequence')::int AS first, (data->>'to_sequence')::int AS last FROM events
    WHERE item_id = ${itemId} AND type = 'item.updated' ORDER BY position`;
  let upTo = 0;
  for (const { first, last } of ranges) {
    if (first !== upTo + 1) verdict.other.push(`events: changes from ${first} are told of after ${upTo}`);
    upTo = last;
  }
  if (upTo !== lastSequence)
    verdict.other.push(`events: changes up to ${upTo} are told of, not ${lastSequence}`);
}

interface SharedReader {
  reader: StreamReader;
  reading: Promise<void>;
}
const readers = new Map<System, SharedReader>();

/** Reads the streams on to their present end. One reading at a time: two would take the same records twice. */
async function readEvents(system: System, itemId: string): Promise<Record<StreamName, StreamEvent[]>> {
  const shared = readers.get(system) ?? {
    reader: openStreamReader(system.urls.kinesis, system.streamPrefix),
    reading: Promise.resolve(),
  };
  readers.set(system, shared);
  const mine = shared.reading.catch(() => undefined).then(() => shared.reader.readOn());
  shared.reading = mine;
  await mine;
  return shared.reader.eventsOf(itemId);
}

/** Ends the oracle's connections for a system; before `system.stop()`. */
export function closeOracle(system: System): void {
  readers.get(system)?.reader.close();
  readers.delete(system);
}

const ajv = new Ajv2020({ strict: true, strictTypes: false, allErrors: true });
formats.default(ajv);
const schemas = new URL('../../schemas/', import.meta.url);
for (const file of readdirSync(schemas).filter((name) => name.endsWith('.json'))) {
  ajv.addSchema(JSON.parse(readFileSync(new URL(file, schemas), 'utf8')) as object);
}

function schemaErrors(event: unknown): string[] {
  const validate = ajv.getSchema('urn:sluice:schema:event');
  if (validate === undefined) throw new Error('schemas/event.json is not the schema of events');
  if (validate(event)) return [];
  return (validate.errors ?? []).map((error) => `${error.instancePath} ${error.message ?? ''}`);
}
