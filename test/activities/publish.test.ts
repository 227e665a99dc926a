import type { Attempt } from '../../activities/attempt.js';
import { publishActivities } from '../../activities/publish.js';
import type { Form, OutboxRow, StreamName } from '../../domain/mining/events.js';
import { Failure } from '../../domain/failures.js';
import type { OutboxStore } from '../../domain/ports/outbox.js';

const noTime = new Failure('UPSTREAM_DOWN', 'no time left');
/** An attempt that the test ends. */
function attemptUntil(): { attempt: Attempt; end: () => void } {
  const over = new AbortController();
  return { attempt: (work) => work(over.signal), end: () => over.abort(noTime) };
}

/** Kinesis's bound of a record, its partition key included. */
const recordBytes = 1_048_576;

const rowOf = (sequence: number, note: string): OutboxRow => ({
  id: `id-${sequence}`,
  item_id: 'ItemA',
  user_id: 'user-1',
  record: 'transaction',
  removed: false,
  subject: `t${sequence}`,
  sequence,
  time: '2026-11-21T07:00:00.000Z',
  raw: JSON.stringify({ note }),
  refined: JSON.stringify({ note }),
});

/** Publishes these transactions of one Item, over an outbox in memory. */
function publishing(
  rows: OutboxRow[],
  put: (stream: StreamName, data: Uint8Array, signal?: AbortSignal) => Promise<void> = async () => undefined,
  attempt: Attempt = (work) => work(new AbortController().signal),
) {
  const sent: Record<Form, number> = { raw: 0, refined: 0 };
  const told: { stream: StreamName; bytes: number; sequences: number[] }[] = [];
  const alerts: { key: string; detail: unknown }[] = [];
  const outbox: OutboxStore = {
    async unsent(_itemId, record, limit, after = 0) {
      const from = Math.max(Math.min(sent.raw, sent.refined), after);
      const found = record === 'transaction' ? rows.filter((row) => row.sequence > from) : [];
      return { sent: { ...sent }, rows: found.slice(0, limit), more: found.length > limit };
    },
    async advanceWatermark(_itemId, _record, form, from, to) {
      if (sent[form] !== from) return false;
      sent[form] = to;
      return true;
    },
  };
  const activities = publishActivities(
    {
      outbox,
      streams: {
        async put(stream, _key, data, signal) {
          await put(stream, data, signal);
          const events = JSON.parse(Buffer.from(data).toString()) as { sequence: number }[];
          told.push({ stream, bytes: data.byteLength, sequences: events.map((event) => event.sequence) });
        },
      },
      alerts: { raise: async ({ key, detail }) => void alerts.push({ key, detail }) },
      crashPoint: () => undefined,
    },
    attempt,
  );
  const toldTo = (stream: StreamName) => told.filter((one) => one.stream === stream);
  return { publish: () => activities.publish({ itemId: 'ItemA' }), sent, told, toldTo, alerts, outbox };
}

describe('what is published of an Item', () => {
  it('fits its records by bytes, in order, each once', async () => {
    // Two bytes a letter: two of these fit by letters, and not by bytes.
    const rows = [1, 2, 3, 4].map((n) => rowOf(n, 'ä'.repeat(300_000)));
    const { publish, told, toldTo, sent } = publishing([...rows, rowOf(5, 'small')]);
    expect(await publish()).toEqual({ done: true });
    for (const { bytes } of told) expect(bytes).toBeLessThan(recordBytes);
    for (const stream of ['raw-transactions', 'refined-transactions'] as const) {
      expect(toldTo(stream).map(({ sequences }) => sequences)).toEqual([[1], [2], [3], [4, 5]]);
    }
    expect(sent).toEqual({ raw: 5, refined: 5 });
  });

  it('passes over a record that is refused, and says which rows were in it', async () => {
    const rows = [1, 2, 3].map((n) => rowOf(n, 'x'.repeat(600_000)));
    const { publish, toldTo, alerts } = publishing(rows, async (stream, data) => {
      const second = Buffer.from(data).includes('"sequence":2');
      if (stream === 'raw-transactions' && second) throw new Failure('RECORD_REFUSED', 'never');
    });
    expect(await publish()).toEqual({ done: true });
    expect(toldTo('raw-transactions').map(({ sequences }) => sequences)).toEqual([[1], [3]]);
    expect(alerts).toEqual([
      {
        key: 'ItemA/transaction/raw/2',
        detail: { record: 'transaction', form: 'raw', after: 1, last: 2 },
      },
    ]);
  });

  it.each([
    ['one event', (data: Uint8Array) => Buffer.from(data).includes('"sequence":7,'), [7]],
    ['what is larger than it was said to be', (data: Uint8Array) => data.byteLength > 20_000, []],
  ])('loses nothing else with a record that is refused for %s', async (_what, isRefused, lacking) => {
    const rows = Array.from({ length: 20 }, (_, at) => rowOf(at + 1, 'x'.repeat(5_000)));
    const { publish, toldTo, alerts, sent } = publishing(rows, async (_stream, data) => {
      if (isRefused(data)) throw new Failure('RECORD_REFUSED', 'never');
    });
    expect(await publish()).toEqual({ done: true });
    for (const stream of ['raw-transactions', 'refined-transactions'] as const) {
      const sequences = toldTo(stream).flatMap((one) => one.sequences);
      expect(sequences).toEqual(rows.map(({ sequence }) => sequence).filter((n) => !lacking.includes(n)));
    }
    expect(alerts.map(({ detail }) => detail)).toEqual(
      lacking.flatMap((n) =>
        ['raw', 'refined'].map((form) => ({ record: 'transaction', form, after: n - 1, last: n })),
      ),
    );
    expect(sent).toEqual({ raw: 20, refined: 20 });
  });

  it('ends where another publisher is met, and is asked for again', async () => {
    const rows = [1, 2, 3].map((n) => rowOf(n, 'x'.repeat(600_000)));
    const { publish, toldTo, sent, outbox } = publishing(rows);
    const usual = { ...outbox };
    outbox.advanceWatermark = async (itemId, record, form, from, to) => {
      if (form === 'raw') sent.raw = 3;
      return usual.advanceWatermark(itemId, record, form, from, to);
    };
    expect(await publish()).toEqual({ done: false });
    expect(toldTo('raw-transactions')).toHaveLength(1);
    expect(toldTo('refined-transactions')).toHaveLength(3);
  });

  it('goes to the one stream although the other does not answer, before the failure is told', async () => {
    const { publish, toldTo, sent } = publishing([rowOf(1, 'x')], async (stream) => {
      if (stream === 'raw-transactions') throw new Failure('UPSTREAM_DOWN', 'down');
      await new Promise((resolve) => setTimeout(resolve, 30));
    });
    await expect(publish()).rejects.toMatchObject({ type: 'UPSTREAM_DOWN' });
    expect([toldTo('refined-transactions').length, sent]).toEqual([1, { raw: 0, refined: 1 }]);
  });
});

describe('a stream that ceases to take records', () => {
  const large = [1, 2, 3, 4].map((n) => rowOf(n, 'x'.repeat(600_000)));

  it('has failed in nothing that it took: the rest is asked for again, and only then it is told', async () => {
    let takes = 2;
    const { publish, sent } = publishing(large, async (stream) => {
      if (stream !== 'raw-transactions') return;
      if (takes === 0) throw new Failure('RATE_LIMITED', 'slow down');
      takes -= 1;
    });
    expect(await publish()).toEqual({ done: false });
    expect(sent).toEqual({ raw: 2, refined: 4 });
    await expect(publish()).rejects.toMatchObject({ type: 'RATE_LIMITED' });
    takes = 1;
    expect(await publish()).toEqual({ done: false });
    takes = 9;
    expect(await publish()).toEqual({ done: true });
    expect(sent).toEqual({ raw: 4, refined: 4 });
  });
});

describe('an attempt whose time is over', () => {
  const large = [1, 2, 3, 4].map((n) => rowOf(n, 'x'.repeat(600_000)));
  /** As the lanes do: it hangs, and rejects with the signal's reason. */
  const hang = (signal: AbortSignal | undefined): Promise<never> =>
    new Promise((_resolve, reject) =>
      signal?.addEventListener('abort', () => reject(signal.reason as Failure)),
    );

  it('is told as a failure when nothing was reached', async () => {
    const { attempt, end } = attemptUntil();
    const { publish, sent, toldTo } = publishing(
      large,
      async (_stream, _data, signal) => {
        setImmediate(end);
        await hang(signal);
      },
      attempt,
    );
    await expect(publish()).rejects.toBe(noTime);
    expect(sent).toEqual({ raw: 0, refined: 0 });
    expect(toldTo('raw-transactions')).toEqual([]);
  });

  it('sends nothing more, and goes on later from where it was', async () => {
    const { attempt, end } = attemptUntil();
    let puts = 0;
    const { publish, sent, toldTo } = publishing(
      large,
      async () => {
        puts += 1;
        if (puts === 4) end();
      },
      attempt,
    );
    expect(await publish()).toEqual({ done: false });
    expect([puts, sent]).toEqual([4, { raw: 2, refined: 2 }]);
    for (const stream of ['raw-transactions', 'refined-transactions'] as const) {
      expect(toldTo(stream).map(({ sequences }) => sequences)).toEqual([[1], [2]]);
    }
  });

  it('tells a stream that refuses all the same, whatever the other has reached', async () => {
    const { attempt, end } = attemptUntil();
    const { publish } = publishing(
      large,
      async (stream) => {
        if (stream === 'raw-transactions') throw new Failure('RATE_LIMITED', 'slow down');
        end();
      },
      attempt,
    );
    await expect(publish()).rejects.toMatchObject({ type: 'RATE_LIMITED' });
  });

  it('leads on by what it found to be refused, however little that was', async () => {
    const rows = Array.from({ length: 8 }, (_, at) => rowOf(at + 1, 'x'));
    let puts = 0;
    let end = (): void => undefined;
    const { publish, sent, alerts } = publishing(
      rows,
      async (stream) => {
        if (stream !== 'raw-transactions') return;
        puts += 1;
        if (puts % 6 === 0) end();
        throw new Failure('RECORD_REFUSED', 'never');
      },
      async (work) => {
        const one = attemptUntil();
        end = one.end;
        return one.attempt(work);
      },
    );
    const reached: number[] = [];
    for (let attempts = 0; attempts < 8 && sent.raw < 8; attempts += 1) {
      await publish().catch(() => undefined);
      reached.push(sent.raw);
    }
    expect(reached.at(-1)).toBe(8);
    expect(alerts.at(-1)).toMatchObject({ detail: { form: 'raw', last: 8 } });
  });

  it('that is met by the next one moves no mark back, and none over what was not sent', async () => {
    // The first hangs in its put; Temporal has given it up, and the next one sends everything.
    let release = (): void => undefined;
    const held = new Promise<void>((resolve) => (release = resolve));
    let first = true;
    const { publish, sent, toldTo } = publishing(large, async (stream) => {
      if (stream !== 'raw-transactions' || !first) return;
      first = false;
      await held;
    });
    const late = publish();
    await new Promise(setImmediate);
    await publish();
    expect(sent).toEqual({ raw: 4, refined: 4 });
    release();
    expect(await late).toEqual({ done: false });
    expect(sent).toEqual({ raw: 4, refined: 4 });
    const told = toldTo('raw-transactions').flatMap(({ sequences }) => sequences);
    expect([...new Set(told)].sort()).toEqual([1, 2, 3, 4]);
  });
});
