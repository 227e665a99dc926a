import type { Observed, StreamEvent, StreamName } from '../local/compare.js';
import { STREAMS } from '../local/compare.js';

type Events = Record<StreamName, readonly StreamEvent[]>;

const unique = (events: readonly StreamEvent[]): StreamEvent[] => [
  ...new Map(events.map((event) => [event.id, event])).values(),
];

/**
 * What a consumer holds of an Item that does as docs/streams.md says: where the numbers jump it drops what it has of the Item, and what
 * follows is all of it. Numbered from 1 again, for the comparison. `base`: the number that they jumped to.
 */
export function sinceRestore(events: Events, base: number): Observed['events'] {
  const kept = STREAMS.map((name): [StreamName, StreamEvent[]] => [
    name,
    unique(events[name])
      .filter(({ sequence }) => sequence > base)
      .map((event) => ({ ...event, sequence: event.sequence - base })),
  ]);
  return Object.fromEntries(kept) as Record<StreamName, StreamEvent[]>;
}

/** What contradicts itself in all that was ever sent of an Item: a number that two changes bear, an id with two contents. */
export function contradictions(events: Events): string[] {
  const found: string[] = [];
  for (const form of ['raw', 'refined'] as const) {
    const numbers = new Map<number, string>();
    for (const name of STREAMS.filter((one) => one.startsWith(form))) {
      const contents = new Map<string, string>();
      for (const event of events[name]) {
        const owner = numbers.get(event.sequence) ?? event.id;
        numbers.set(event.sequence, owner);
        if (owner !== event.id) found.push(`${name}: ${event.sequence} is the number of two changes`);
        const text = JSON.stringify(event);
        if ((contents.get(event.id) ?? text) !== text) found.push(`${name}: ${event.id} has two contents`);
        contents.set(event.id, text);
      }
    }
  }
  return found;
}
