import { randomBytes } from 'node:crypto';
import { DeleteStreamCommand } from '@aws-sdk/client-kinesis';
import type { Kinesis, KinesisOptions } from '../../src/clients/kinesis.js';
import { createKinesis } from '../../src/clients/kinesis.js';
import { openKinesisClient } from '../../src/clients/kinesisClient.js';
import { ensureStreams } from '../../src/clients/streams.js';
import type { StreamName } from '../../domain/mining/events.js';
import { streamNames } from '../../domain/mining/events.js';
import { Failure } from '../../domain/failures.js';
import { until } from '../e2e/until.js';
import { testStack } from '../stack/testStack.js';
import { caught } from './caught.js';
import type { KinesisProxy } from '../../tools/faults/kinesisProxy.js';
import { startKinesisProxy } from '../../tools/faults/kinesisProxy.js';
import { readStream } from './streamReader.js';

const stream: StreamName = 'raw-transactions';
const streamPrefix = `clients-${randomBytes(4).toString('hex')}-`;
const streamName = `${streamPrefix}${stream}`;
const aws = { region: 'us-east-1', credentials: { accessKeyId: 'local', secretAccessKey: 'local' } };
const throttle = 'ProvisionedThroughputExceededException';
const bytes = (text: string): Uint8Array => Buffer.from(text, 'utf8');

let proxy: KinesisProxy;
let opened: Kinesis[];

function open(more: Partial<KinesisOptions> = {}): Kinesis {
  // Patient, so that a busy machine changes no outcome; tests of impatience say so.
  const patient = { requestTimeoutMs: 60_000, retryForMs: 60_000, pingTimeoutMs: 60_000 };
  const kinesis = createKinesis({ ...aws, endpoint: proxy.url, streamPrefix, ...patient, ...more });
  opened.push(kinesis);
  return kinesis;
}

/** Only what this test put: every test has partition keys of its own. */
async function onStream(ownKeys: string): Promise<{ key: string; data: string }[]> {
  const all = await readStream({ ...aws, endpoint: testStack().kinesis_endpoint }, streamName);
  return all.filter(({ key }) => key.startsWith(ownKeys));
}

beforeAll(async () => {
  await ensureStreams({ ...aws, endpoint: testStack().kinesis_endpoint, shards: 2 }, [streamName]);
});

beforeEach(async () => {
  opened = [];
  proxy = await startKinesisProxy(testStack().kinesis_endpoint);
});

afterEach(async () => {
  await Promise.all(opened.map((kinesis) => kinesis.close()));
  await proxy.close();
});

describe('what a stream will never take', () => {
  it('a record above 1 MiB is refused at once, its neighbours go through', async () => {
    const kinesis = open();
    const large = new Uint8Array(1024 * 1024);
    const results = await Promise.allSettled([
      kinesis.put(stream, 'over-a', bytes('1')),
      kinesis.put(stream, 'over-b', large),
      kinesis.put(stream, 'over-c', bytes('3')),
    ]);
    expect(results.map(({ status }) => status)).toEqual(['fulfilled', 'rejected', 'fulfilled']);
    expect(results[1]).toMatchObject({ reason: { type: 'RECORD_REFUSED' } });
    expect(proxy.calls.flatMap(({ records }) => records)).toHaveLength(2);
    expect((await onStream('over-')).map(({ data }) => data).sort()).toEqual(['1', '3']);
  });

  it('a poison record is found among its neighbours and refused alone', async () => {
    const kinesis = open();
    proxy.fault = (_call, records) =>
      records.some(({ PartitionKey }) => PartitionKey === 'poison-13')
        ? {
            refuse: {
              status: 400,
              type: 'ValidationException',
              message: "Value at 'records.14.member.data'",
            },
          }
        : null;
    const results = await Promise.allSettled(
      Array.from({ length: 40 }, (_, index) => kinesis.put(stream, `poison-${index}`, bytes(`${index}`))),
    );
    const refused = results.flatMap((result, index) => (result.status === 'rejected' ? [index] : []));
    expect(refused).toEqual([13]);
    expect(results[13]).toMatchObject({ reason: { type: 'RECORD_REFUSED' } });
    const arrived = (await onStream('poison-')).map(({ data }) => Number(data)).sort((a, b) => a - b);
    expect(arrived).toEqual(Array.from({ length: 40 }, (_, index) => index).filter((index) => index !== 13));
  });

  it.each([
    "Value at 'streamName' failed",
    'The security token included in the request is expired',
    'Encryption context is not what the key asks for',
    '',
  ])('a call refused for anything else blames no record: "%s"', async (message) => {
    const kinesis = open({ retryForMs: 0 });
    proxy.fault = () => ({ refuse: { status: 400, type: 'ValidationException', message } });
    expect(await caught(kinesis.put(stream, 'k', bytes('x')))).toMatchObject({ type: 'UPSTREAM_DOWN' });
  });
});

describe('a stream that does not take what it should', () => {
  it.each([
    ['throttling', throttle, 'RATE_LIMITED'],
    ['an internal failure', 'InternalFailure', 'UPSTREAM_DOWN'],
  ])('%s without an end is told in the end', async (_name, code, type) => {
    const kinesis = open({ retryForMs: 300 });
    proxy.fault = () => ({ failRecords: () => code });
    expect(await caught(kinesis.put(stream, 'k', bytes('x')))).toMatchObject({ type });
  });

  it.each([
    ['a whole call throttled', throttle, 400, 'RATE_LIMITED'],
    ['an access that is denied', 'AccessDeniedException', 400, 'MISCONFIGURED'],
    ['an error 500', 'InternalFailure', 500, 'UPSTREAM_DOWN'],
  ])('%s', async (_name, errorType, status, type) => {
    const kinesis = open({ retryForMs: 100 });
    proxy.fault = () => ({ refuse: { status, type: errorType } });
    expect(await caught(kinesis.put(stream, 'k', bytes('x')))).toMatchObject({ type });
  });

  it('no answer within the time-out', async () => {
    const kinesis = open({ retryForMs: 0, requestTimeoutMs: 100 });
    proxy.fault = () => ({ hang: true });
    expect(await caught(kinesis.put(stream, 'k', bytes('x')))).toMatchObject({ type: 'UPSTREAM_DOWN' });
  });

  it('nobody there', async () => {
    const kinesis = open({ retryForMs: 100 });
    await proxy.close();
    expect(await caught(kinesis.put(stream, 'k', bytes('x')))).toMatchObject({ type: 'UPSTREAM_DOWN' });
    expect(await caught(kinesis.ping())).toMatchObject({ type: 'UPSTREAM_DOWN' });
  });

  it.each(['{}', '{"Records":[]}', '{"Records":[{}]}', '<html>'])(
    'an answer that accepts nothing (%s) is no acceptance',
    async (answer) => {
      const kinesis = open({ retryForMs: 0 });
      proxy.fault = () => ({ answer });
      expect(await caught(kinesis.put(stream, 'k', bytes('x')))).toMatchObject({ type: 'UPSTREAM_DOWN' });
    },
  );

  it("no failure repeats a record's data or the credentials", async () => {
    const kinesis = open({ retryForMs: 0 });
    proxy.fault = () => ({
      refuse: { status: 400, type: 'SomethingException', message: 'canary-data-17 canary-data-17' },
    });
    const failure = await caught(kinesis.put(stream, 'k', bytes('canary-data-17')));
    expect(failure.stack).not.toContain('canary-data-17');
  });
});

describe('a record whose caller has given up', () => {
  const keysSent = (): string[] =>
    proxy.calls.flatMap(({ records }) => records.map(({ PartitionKey }) => PartitionKey));
  /** Resolves when the proxy has seen so many calls. */
  const calls = async (n: number): Promise<void> => {
    while (proxy.calls.length < n) await new Promise((resolve) => setTimeout(resolve, 5));
  };

  it('is not sent any more while it waits for others, and they are', async () => {
    const kinesis = open({ lingerMs: 200 });
    const gone = new AbortController();
    const given = caught(kinesis.put(stream, 'gone-waiting', bytes('x'), gone.signal));
    const stays = kinesis.put(stream, 'stays', bytes('y'), new AbortController().signal);
    gone.abort();
    expect(await given).toMatchObject({ type: 'UPSTREAM_DOWN' });
    await stays;
    expect(keysSent()).toEqual(['stays']);
  });

  it('is told so at once while its request hangs, and is not repeated', async () => {
    const kinesis = open({ requestTimeoutMs: 300 });
    const gone = new AbortController();
    proxy.fault = (call) => (call === 0 ? { hang: true } : null);
    const given = caught(kinesis.put(stream, 'gone-sent', bytes('x'), gone.signal));
    const stays = kinesis.put(stream, 'stays-sent', bytes('y'));
    await calls(1);
    const reason = new Failure('UPSTREAM_DOWN', 'no time left');
    gone.abort(reason);
    expect(await given).toBe(reason);
    await stays;
    expect(keysSent()).toEqual(['gone-sent', 'stays-sent', 'stays-sent']);
  });

  it('is not tried again after a refusal', async () => {
    const kinesis = open();
    const gone = new AbortController();
    proxy.fault = () => ({
      failRecords({ PartitionKey }) {
        if (PartitionKey !== 'gone-refused') return null;
        gone.abort();
        return throttle;
      },
    });
    const given = await caught(kinesis.put(stream, 'gone-refused', bytes('x'), gone.signal));
    expect(given).toMatchObject({ type: 'UPSTREAM_DOWN' });
    for (let n = 0; n < 10; n += 1) await kinesis.put(stream, 'others', bytes(`${n}`));
    // Some of the pauses after which it would have come again.
    await new Promise((resolve) => setTimeout(resolve, 500));
    await kinesis.put(stream, 'others', bytes('last'));
    expect(keysSent().filter((key) => key === 'gone-refused')).toHaveLength(1);
  });

  it('that never had time is never sent', async () => {
    const kinesis = open();
    expect(await caught(kinesis.put(stream, 'gone-before', bytes('x'), AbortSignal.abort()))).toMatchObject({
      type: 'UPSTREAM_DOWN',
    });
    await kinesis.put(stream, 'stays-after', bytes('y'));
    expect(keysSent()).toEqual(['stays-after']);
  });
});

describe('a stream that fails now and then', () => {
  it('a lost answer makes a repeat, never a loss', async () => {
    const kinesis = open();
    proxy.fault = (call) => (call === 0 ? { loseAnswer: true } : null);
    await kinesis.put(stream, 'lost-1', bytes('once or twice'));
    expect((await onStream('lost-')).map(({ data }) => data)).toEqual(['once or twice', 'once or twice']);
  });

  it('only the records that failed are sent again', async () => {
    const kinesis = open();
    proxy.fault = (call) =>
      call === 0 ? { failRecords: (_record, index) => (index % 3 === 0 ? throttle : null) } : null;
    await Promise.all(
      Array.from({ length: 30 }, (_, index) => kinesis.put(stream, `part-${index}`, bytes(`${index}`))),
    );
    const [first, ...again] = proxy.calls;
    expect(first?.records).toHaveLength(30);
    const failed = first?.records.filter((_record, index) => index % 3 === 0);
    const repeated = again.flatMap(({ records }) => records);
    expect(repeated.map(({ PartitionKey }) => PartitionKey).sort()).toEqual(
      failed?.map(({ PartitionKey }) => PartitionKey).sort(),
    );
    expect(await onStream('part-')).toHaveLength(30);
  });

  it.each([0.01, 0.1, 0.5])(
    'with %d of the records failing, answers lost and calls throttled, order per Item holds',
    async (rate) => {
      const kinesis = open();
      // A fixed sequence, so that a failure of this test can be had again.
      let seed = Math.round(rate * 1000) + 1;
      const random = (): number => {
        seed = (Math.imul(seed, 1_103_515_245) + 12_345) & 0x7fffffff;
        return seed / 0x7fffffff;
      };
      proxy.fault = () => {
        const dice = random();
        if (dice < 0.05) return { loseAnswer: true };
        if (dice < 0.1) return { refuse: { status: 400, type: throttle } };
        return { failRecords: () => (random() < rate ? throttle : null) };
      };
      const own = `order${rate}-`;
      const items = Array.from({ length: 12 }, (_, index) => `${own}${index}`);
      const last = 8;
      await Promise.all(
        items.map(async (item) => {
          for (let sequence = 1; sequence <= last; sequence += 1) {
            await kinesis.put(stream, item, bytes(`${sequence}`));
          }
        }),
      );
      const arrived = await onStream(own);
      for (const item of items) {
        const sequences = arrived.filter(({ key }) => key === item).map(({ data }) => Number(data));
        expect([...new Set(sequences)]).toEqual(Array.from({ length: last }, (_, index) => index + 1));
        // Repeats may stand behind their original, never behind a later record.
        expect(sequences).toEqual([...sequences].sort((a, b) => a - b));
      }
    },
  );
});

describe('sharing requests', () => {
  it('501 records of one moment are two calls', async () => {
    const kinesis = open();
    proxy.fault = () => ({ accept: true });
    await Promise.all(
      Array.from({ length: 501 }, (_, index) => kinesis.put(stream, `many-${index}`, bytes('x'))),
    );
    expect(proxy.calls.map(({ records }) => records.length)).toEqual([500, 1]);
    const keys = proxy.calls.flatMap(({ records }) => records).map(({ PartitionKey }) => PartitionKey);
    expect(new Set(keys).size).toBe(501);
  });

  it('what waits while all requests are on their way is cut to 500 a call too', async () => {
    const kinesis = open();
    proxy.fault = () => ({ accept: true });
    await Promise.all(
      Array.from({ length: 4_600 }, (_, index) => kinesis.put(stream, `wait-${index}`, bytes('x'))),
    );
    const sizes = proxy.calls.map(({ records }) => records.length);
    expect(Math.max(...sizes)).toBe(500);
    expect(sizes.reduce((sum, size) => sum + size, 0)).toBe(4_600);
  });

  it('no call is larger than 5 MiB', async () => {
    const kinesis = open();
    proxy.fault = () => ({ accept: true });
    const large = new Uint8Array(900 * 1024).fill(0x61);
    await Promise.all(Array.from({ length: 12 }, (_, index) => kinesis.put(stream, `big-${index}`, large)));
    expect(Math.max(...proxy.calls.map((call) => call.bytes))).toBeLessThanOrEqual(5 * 1024 * 1024);
    expect(proxy.calls.flatMap(({ records }) => records)).toHaveLength(12);
  });

  it('streams do not share calls', async () => {
    const other: StreamName = 'raw-accounts';
    await ensureStreams({ ...aws, endpoint: testStack().kinesis_endpoint, shards: 1 }, [
      `${streamPrefix}${other}`,
    ]);
    const kinesis = open();
    await Promise.all([kinesis.put(stream, 'both', bytes('t')), kinesis.put(other, 'both', bytes('a'))]);
    expect(proxy.calls.map((call) => call.stream).sort()).toEqual(
      [`${streamPrefix}${other}`, streamName].sort(),
    );
  });
});

describe('a stream that was deleted and made again', () => {
  it('is named while it is gone, and takes records again from the same client', async () => {
    const prefix = `remade-${randomBytes(4).toString('hex')}-`;
    const emulator = { ...aws, endpoint: testStack().kinesis_endpoint };
    const name = `${prefix}${stream}`;
    await ensureStreams({ ...emulator, shards: 1 }, [name]);
    const kinesis = open({ streamPrefix: prefix, retryForMs: 0 });
    await kinesis.put(stream, 'old', bytes('old'));
    const client = openKinesisClient(emulator);
    await client.send(new DeleteStreamCommand({ StreamName: name }));
    await until(async () => (await caught(kinesis.put(stream, 'gone', bytes('gone')))) instanceof Failure);
    const refused = async () => caught(kinesis.put(stream, 'gone', bytes('gone')));
    await until(async () => (await refused()).message.startsWith('Kinesis has no stream'));
    expect(await refused()).toMatchObject({
      type: 'MISCONFIGURED',
      retryable: true,
      message: `Kinesis has no stream ${name}: \`npm run provision\``,
    });
    client.destroy();
    await ensureStreams({ ...emulator, shards: 1 }, [name]);
    await kinesis.put(stream, 'new', bytes('new'));
    expect((await readStream(emulator, name)).map(({ data }) => data)).toEqual(['new']);
  });
});

describe('life', () => {
  it('ping knows a stream that is there from one that is not', async () => {
    await ensureStreams(
      { ...aws, endpoint: testStack().kinesis_endpoint, shards: 1 },
      streamNames.map((name) => `${streamPrefix}${name}`),
    );
    await expect(open().ping()).resolves.toBeUndefined();
    expect(await caught(open({ streamPrefix: 'absent-' }).ping())).toMatchObject({
      type: 'MISCONFIGURED',
      message: expect.stringMatching(/^Kinesis has no stream absent-[a-z-]+: `npm run provision`$/),
    });
  });

  it('close waits for what was put and refuses what comes later', async () => {
    const kinesis = open();
    let accepted = false;
    const put = kinesis.put(stream, 'close-1', bytes('last words')).then(() => {
      accepted = true;
    });
    await kinesis.close();
    expect(accepted).toBe(true);
    await put;
    expect(await caught(kinesis.put(stream, 'close-2', bytes('too late')))).toMatchObject({
      type: 'UPSTREAM_DOWN',
    });
    expect((await onStream('close-')).map(({ data }) => data)).toEqual(['last words']);
  });
});

describe('set-up of streams', () => {
  it('is the same again, side by side, and says when nobody is there', async () => {
    const name = `${streamPrefix}set-up`;
    const setUp = { ...aws, endpoint: testStack().kinesis_endpoint, shards: 1 };
    await Promise.all([ensureStreams(setUp, [name]), ensureStreams(setUp, [name])]);
    await ensureStreams(setUp, [name]);
    expect(await readStream(setUp, name)).toEqual([]);
    const nowhere = { ...setUp, endpoint: 'http://127.0.0.1:1' };
    expect(await caught(ensureStreams(nowhere, [name]))).toMatchObject({ type: 'UPSTREAM_DOWN' });
  });

  it('a stream that does not come up in time is named', async () => {
    const setUp = { ...aws, endpoint: testStack().kinesis_endpoint, shards: 1, timeoutMs: -1 };
    const failure = await caught(ensureStreams(setUp, [`${streamPrefix}never`]));
    expect(failure.message).toContain(`${streamPrefix}never`);
  });
});
