import { readFile } from 'node:fs/promises';
import { rowOf, type Row } from '../bank/row.js';
import { Item } from '../item/item.js';
import type { LinkToken, PublicToken } from '../tokens.js';
import type { Delivery } from '../webhooks/delivery.js';
import {
  STATE_VERSION,
  type SavedRow,
  type SavedRowEvent,
  type SavedWorld,
  type StateRecord,
} from './records.js';

/** What a state file has kept. */
export interface Saved {
  world: SavedWorld | undefined;
  items: Item[];
  deliveries: Delivery[];
  publicTokens: PublicToken[];
  linkTokens: LinkToken[];
}

/** A state file that is damaged before its last line, or of another version. */
class UnreadableState extends Error {}

const NEWLINE = 0x0a;

/** Reads a state file; one that is not there is an empty world. Half a line at the end was being written when a process died. */
export async function readState(path: string): Promise<Saved> {
  let bytes: Buffer = Buffer.alloc(0);
  try {
    bytes = await readFile(path);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
  }
  return restore(path, linesOf(bytes));
}

/** Line by line: a whole file may be longer than the longest string of the engine. */
function* linesOf(bytes: Buffer): Generator<string> {
  let start = 0;
  for (let end = bytes.indexOf(NEWLINE); end >= 0; end = bytes.indexOf(NEWLINE, start)) {
    yield bytes.toString('utf8', start, end);
    start = end + 1;
  }
}

type ItemRecord = Extract<StateRecord, { kind: 'item' }>;

function restore(path: string, lines: Iterable<string>): Saved {
  let world: SavedWorld | undefined;
  const items = new Map<string, ItemRecord>();
  const rows = new Map<string, SavedRowEvent[][]>();
  const deliveries = new Map<string, Delivery>();
  const publicTokens = new Map<string, PublicToken>();
  const linkTokens = new Map<string, LinkToken>();
  for (const line of lines) {
    const record = parse(path, line);
    switch (record.kind) {
      case 'world':
        if (record.world.version !== STATE_VERSION) {
          throw new UnreadableState(
            `${path} is of version ${record.world.version}, this simulator reads version ${STATE_VERSION}: delete it, or name another --state`,
          );
        }
        world = record.world;
        break;
      case 'item':
        items.set(record.facts.itemId, record);
        break;
      case 'rows':
        rows.set(record.itemId, [...(rows.get(record.itemId) ?? []), record.events]);
        break;
      case 'delivery':
        deliveries.set(record.delivery.id, record.delivery);
        break;
      case 'public':
        publicTokens.set(record.token.token, record.token);
        break;
      case 'link':
        linkTokens.set(record.token.token, record.token);
        break;
      case 'reset':
        for (const map of [items, rows, deliveries, publicTokens, linkTokens]) map.clear();
    }
  }
  return {
    world,
    items: [...items.values()].map((record) =>
      restoreItem(record, (rows.get(record.facts.itemId) ?? []).flat()),
    ),
    deliveries: [...deliveries.values()],
    publicTokens: [...publicTokens.values()],
    linkTokens: [...linkTokens.values()],
  };
}

function parse(path: string, line: string): StateRecord {
  try {
    return JSON.parse(line) as StateRecord;
  } catch {
    throw new UnreadableState(`${path} is damaged: it has a line that is no JSON`);
  }
}

function restoreItem(record: ItemRecord, events: readonly SavedRowEvent[]): Item {
  const item = new Item(record.facts, record.accounts, record.seeded);
  const versions: Row[] = [];
  for (const event of events) {
    switch (event[0]) {
      case 'p': {
        const row = restoreRow(event[1]);
        versions.push(row);
        item.put(row);
        break;
      }
      case 't':
        item.take(event[1]);
        break;
      case 's':
        item.log.tellSeeded(event[1], event[2]);
        break;
      case 'o':
        if (item.seeded) item.log.upsert(item.seeded.row(event[1]));
        break;
      case 'v':
        item.log.upsert(restoreRow(event[1]));
        break;
      case 'l': {
        const [, id, accountId, version] = event;
        const row = versions[version];
        if (row) item.log.upsert(row);
        else if (id === '') item.log.mark();
        else item.log.remove(id, accountId);
      }
    }
  }
  item.unread.clear();
  for (const id of record.unread) item.unread.add(id);
  return item;
}

function restoreRow({ original_description: originalDescription, ...transaction }: SavedRow): Row {
  return rowOf({ transaction, originalDescription });
}
