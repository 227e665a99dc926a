import { rowOf, type Row } from '../bank/row.js';
import { Item } from '../item/item.js';
import type { LinkSession } from '../link/session.js';
import type { LinkToken, PublicToken, ReportToken } from '../tokens.js';
import type { Delivery } from '../webhooks/delivery.js';
import {
  STATE_VERSION,
  type SavedRow,
  type SavedRowEvent,
  type SavedWorld,
  type StateRecord,
} from './records.js';

/** What a state file or a world's document has kept. */
export interface Saved {
  world: SavedWorld | undefined;
  items: Item[];
  deliveries: Delivery[];
  publicTokens: PublicToken[];
  linkTokens: LinkToken[];
  linkSessions: LinkSession[];
  reports: ReportToken[];
}

/** A state file or document that is damaged, or of another version. */
export class UnreadableState extends Error {}

type ItemRecord = Extract<StateRecord, { kind: 'item' }>;

/** The things that records speak of. `source` is what messages call them. */
export function restoreRecords(source: string, records: Iterable<StateRecord>): Saved {
  let world: SavedWorld | undefined;
  const items = new Map<string, ItemRecord>();
  const rows = new Map<string, SavedRowEvent[][]>();
  const deliveries = new Map<string, Delivery>();
  const publicTokens = new Map<string, PublicToken>();
  const linkTokens = new Map<string, LinkToken>();
  const linkSessions = new Map<string, LinkSession>();
  const reports = new Map<string, ReportToken>();
  for (const record of records) {
    switch (record.kind) {
      case 'world':
        if (record.world.version !== STATE_VERSION) {
          throw new UnreadableState(
            `${source} is of version ${record.world.version}, this simulator reads version ${STATE_VERSION}: delete it, or name another --state`,
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
      case 'session':
        linkSessions.set(record.session.id, record.session);
        break;
      case 'report':
        reports.set(record.report.token, record.report);
        break;
      case 'reset':
        for (const map of [items, rows, deliveries, publicTokens, linkTokens, linkSessions, reports]) {
          map.clear();
        }
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
    linkSessions: [...linkSessions.values()],
    reports: [...reports.values()],
  };
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
        item.log.appendSeeded(event[1], event[2]);
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
        else if (id === '') item.log.touch();
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
