import type { Row } from '../bank/row.js';
import type { Item, RowEvent } from '../item/item.js';
import type { World } from '../world.js';
import { STATE_VERSION, type SavedRowEvent, type StateRecord } from './records.js';

/** Steps in one record: a line must stay far below the longest string of the engine. */
const EVENTS_PER_RECORD = 2_000;

/** How far an Item's story is written, and the numbers under which its row versions are. */
export interface Written {
  events: number;
  numbers: Map<Row, number>;
}

export function nothingWritten(): Written {
  return { events: 0, numbers: new Map() };
}

export function worldRecord(world: World): StateRecord {
  const renames = world.institutions.renames();
  return {
    kind: 'world',
    world: {
      version: STATE_VERSION,
      seed: world.seed,
      issued: world.ids.issued,
      clock: world.clock.state(),
      keys: world.keys.stored(),
      ...(renames.length > 0 ? { renames } : {}),
    },
  };
}

/** Everything but the Items; the record that names the version comes first. */
export function worldRecords(world: World): StateRecord[] {
  return [
    worldRecord(world),
    ...[...world.publicTokens.values()].map((token): StateRecord => ({
      kind: 'public',
      token: { ...token },
    })),
    ...[...world.linkTokens.values()].map((token): StateRecord => ({ kind: 'link', token })),
    ...[...world.linkSessions.values()].map((session): StateRecord => ({
      kind: 'session',
      session: structuredClone(session),
    })),
    ...[...world.reports.values()].map((report): StateRecord => ({ kind: 'report', report: { ...report } })),
    ...world.deliveries
      .list()
      .map((delivery): StateRecord => ({ kind: 'delivery', delivery: structuredClone(delivery) })),
  ];
}

/** Records of an Item as JSON: what was not written of its story yet, and the Item as it is. Notes what is written. */
export function itemRecords(item: Item, written: Written): string[] {
  const records: string[] = [];
  while (written.events < item.story.length) {
    const part = item.story.slice(written.events, written.events + EVENTS_PER_RECORD);
    const events = part.map((event) => savedEvent(event, written.numbers));
    records.push(`{"kind":"rows","itemId":${JSON.stringify(item.id)},"events":[${events.join(',')}]}`);
    written.events += part.length;
  }
  const record: StateRecord = {
    kind: 'item',
    facts: item.facts,
    accounts: item.accounts,
    seeded: item.seeded?.plan ?? null,
    unread: [...item.unread],
  };
  records.push(JSON.stringify(record));
  return records;
}

/** The JSON of a step; a row's own JSON goes in as it is. */
function savedEvent(event: RowEvent, numbers: Map<Row, number>): string {
  const json = (saved: SavedRowEvent) => JSON.stringify(saved);
  if (event.kind === 'taken') return json(['t', event.id]);
  if (event.kind === 'put') {
    numbers.set(event.row, numbers.size);
    return `["p",${event.row.bytes.toString('utf8', 1)}]`;
  }
  if (event.kind === 'span') return json(['s', event.span.first, event.span.count]);
  const { id, accountId, row } = event.entry;
  if (!row) return json(['l', id, accountId, -1]);
  if (row.seeded) return json(['o', row.seeded.n]);
  const number = numbers.get(row);
  return number === undefined ? `["v",${row.bytes.toString('utf8', 1)}]` : json(['l', id, accountId, number]);
}
