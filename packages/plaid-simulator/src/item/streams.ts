import { createHash } from 'node:crypto';
import { parseRow } from '../bank/row.js';
import { recurringStreams, type Streams } from '../bank/recurring.js';
import { civilDate } from '../calendar.js';
import type { Item } from './item.js';

/** The Item's recurring streams in what Plaid has read, at a simulated instant. */
export function streamsOf(item: Item, now: number): Streams {
  const transactions = item.log.liveNewestFirst().map((row) => parseRow(row).transaction);
  return recurringStreams(transactions, civilDate(now));
}

function digestOf({ inflow, outflow }: Streams): string {
  return createHash('sha256')
    .update(JSON.stringify([inflow, outflow]))
    .digest('hex');
}

/** The client was given these streams: from now on it hears of their changes. */
export function rememberStreams(item: Item, streams: Streams): void {
  item.facts.streamsTold = digestOf(streams);
}

/** The accounts with streams when the streams are others than the client was last given; else `null`. */
export function movedStreams(item: Item, now: number): string[] | null {
  if (item.facts.streamsTold === undefined) return null;
  const streams = streamsOf(item, now);
  const digest = digestOf(streams);
  if (digest === item.facts.streamsTold) return null;
  item.facts.streamsTold = digest;
  return [...new Set([...streams.inflow, ...streams.outflow].map(({ account_id }) => account_id))];
}
