import { randomBytes } from 'node:crypto';
import {
  CreateStreamCommand,
  DeleteStreamCommand,
  DescribeStreamSummaryCommand,
  PutRecordCommand,
  SplitShardCommand,
} from '@aws-sdk/client-kinesis';
import { openKinesisClient } from '../../src/clients/kinesisClient.js';
import { ensureStreams } from '../../src/clients/streams.js';
import type { UserEvents } from '../../src/clients/userEvents.js';
import { createUserEvents } from '../../src/clients/userEvents.js';
import type { ShardReader } from '../../domain/ports/userEvents.js';
import { testStack } from '../stack/testStack.js';
import { until } from '../workflows/harness.js';
import { caught } from './caught.js';
import type { KinesisProxy } from '../../tools/faults/kinesisProxy.js';
import { startKinesisProxy } from '../../tools/faults/kinesisProxy.js';

const aws = { region: 'us-east-1', credentials: { accessKeyId: 'local', secretAccessKey: 'local' } };
const emulator = () => ({ ...aws, endpoint: testStack().kinesis_endpoint });
const newName = () => `events-${randomBytes(4).toString('hex')}`;

let proxy: KinesisProxy;
let opened: UserEvents[];
let resets: string[];
const kinesis = () => openKinesisClient(emulator());

beforeEach(async () => {
  opened = [];
  resets = [];
  proxy = await startKinesisProxy(testStack().kinesis_endpoint);
});
afterEach(async () => {
  for (const events of opened) events.close();
  await proxy.close();
});

function open(stream: string, recordsAtOnce?: number): UserEvents {
  const events = createUserEvents({
    ...aws,
    endpoint: proxy.url,
    stream,
    requestTimeoutMs: 60_000,
    ...(recordsAtOnce === undefined ? {} : { recordsAtOnce }),
    onUnknownCheckpoint: (shardId) => resets.push(shardId),
  });
  opened.push(events);
  return events;
}
async function newStream(): Promise<string> {
  const stream = newName();
  await ensureStreams({ ...emulator(), shards: 1 }, [stream]);
  return stream;
}
async function put(stream: string, ...texts: string[]): Promise<void> {
  const client = kinesis();
  for (const text of texts) {
    const record = { StreamName: stream, PartitionKey: text, Data: Buffer.from(text) };
    await client.send(new PutRecordCommand(record));
  }
  client.destroy();
}
/** Reads until `count` records have come, or the shard has ended. */
async function read(reader: ShardReader, count: number) {
  const texts: string[] = [];
  let last: string | null = null;
  let ended = false;
  await until(async () => {
    const answer = await reader.next();
    texts.push(...answer.records.map(({ data }) => Buffer.from(data).toString()));
    last = answer.records.at(-1)?.sequenceNumber ?? last;
    ended = answer.ended;
    return ended || texts.length >= count;
  });
  return { texts, last: last as string | null, ended };
}
const only = async (events: UserEvents): Promise<string> => {
  const [shard, ...more] = await events.shards();
  expect(more).toEqual([]);
  return shard?.shardId ?? '';
};

describe('the stream of user events', () => {
  it('that is absent, throttled, silent or talks nonsense fails in a way that may be tried again', async () => {
    const absent = newName();
    for (const asked of [open(absent).shards(), open(absent).createdAt()]) {
      expect(await caught(asked)).toMatchObject({
        type: 'MISCONFIGURED',
        retryable: true,
        message: `Kinesis has no stream ${absent}: \`npm run provision\``,
      });
    }
    const stream = await newStream();
    const events = open(stream);
    await put(stream, 'a');
    const reader = events.open(await only(events), null);
    const answers = [
      [{ status: 400, body: { __type: 'ProvisionedThroughputExceededException' } }, 'RATE_LIMITED'],
      [{ status: 500, body: { __type: 'InternalFailure' } }, 'UPSTREAM_DOWN'],
      [{ status: 200, body: {} }, 'UPSTREAM_DOWN'],
      [{ status: 200, body: { Records: [{ Data: 'YQ==' }] } }, 'UPSTREAM_DOWN'],
    ] as const;
    for (const [answer, type] of answers) {
      proxy.otherFault = (operation) => (operation === 'GetRecords' ? answer : null);
      expect(await caught(reader.next())).toMatchObject({ name: 'Failure', type });
    }
    proxy.otherFault = () => null;
    expect(await read(reader, 1)).toMatchObject({ texts: ['a'], ended: false });
  });

  it('is read from its oldest record, and from behind a checkpoint', async () => {
    const stream = await newStream();
    await put(stream, 'a', 'b', 'c');
    const events = open(stream, 2);
    const shard = await only(events);
    const first = await read(events.open(shard, null), 2);
    expect(first.texts).toEqual(['a', 'b']);
    const reader = events.open(shard, first.last);
    expect((await read(reader, 1)).texts).toEqual(['c']);
    await put(stream, 'd');
    expect((await read(reader, 1)).texts).toEqual(['d']);
    // When it arrived is the same however often it is read.
    const times = [events.open(shard, null), events.open(shard, null)].map(
      async (again) => (await again.next()).records[0]?.arrivedAt,
    );
    const [once, twice] = await Promise.all(times);
    expect([typeof once, twice]).toEqual(['string', once]);
  });

  it('goes on where it stood when its iterator has expired', async () => {
    const stream = await newStream();
    await put(stream, 'a');
    const events = open(stream);
    const reader = events.open(await only(events), null);
    await read(reader, 1);
    await put(stream, 'b');
    let expired = 0;
    proxy.otherFault = (operation) => {
      if (operation !== 'GetRecords' || expired > 0) return null;
      expired += 1;
      return { status: 400, body: { __type: 'ExpiredIteratorException' } };
    };
    expect((await read(reader, 1)).texts).toEqual(['b']);
    expect(expired).toBe(1);
  });

  it('that was made anew under its name is read from the beginning, and that is told', async () => {
    const stream = await newStream();
    await put(stream, 'old');
    const events = open(stream);
    const shard = await only(events);
    const { last } = await read(events.open(shard, null), 1);
    const madeAt = await events.createdAt();
    const client = kinesis();
    await client.send(new DeleteStreamCommand({ StreamName: stream, EnforceConsumerDeletion: true }));
    await until(async () => {
      await client.send(new CreateStreamCommand({ StreamName: stream, ShardCount: 1 }));
      return true;
    });
    await ensureStreams({ ...emulator(), shards: 1 }, [stream]);
    client.destroy();
    await put(stream, 'new');
    // As Kinesis answers to a number that it did not give, whatever the emulator makes of one.
    let refused = 0;
    proxy.otherFault = (operation) => {
      if (operation !== 'GetShardIterator' || refused > 0) return null;
      refused += 1;
      return { status: 400, body: { __type: 'InvalidArgumentException', message: 'StartingSequenceNumber' } };
    };
    expect((await read(events.open(shard, last), 1)).texts).toEqual(['new']);
    expect(resets).toEqual([shard]);
    expect(Date.parse(await events.createdAt())).toBeGreaterThan(Date.parse(madeAt));
  });

  it('ends a shard that was split, after its last record, and names the parent of its children', async () => {
    const stream = await newStream();
    await put(stream, 'a', 'b');
    const events = open(stream);
    const parent = await only(events);
    const client = kinesis();
    await client.send(
      new SplitShardCommand({
        StreamName: stream,
        ShardToSplit: parent,
        NewStartingHashKey: (2n ** 127n).toString(),
      }),
    );
    await until(async () => {
      const { StreamDescriptionSummary } = await client.send(
        new DescribeStreamSummaryCommand({ StreamName: stream }),
      );
      return StreamDescriptionSummary?.OpenShardCount === 2;
    });
    client.destroy();
    const shards = await events.shards();
    expect(shards.filter(({ parents }) => parents.length === 0).map(({ shardId }) => shardId)).toEqual([
      parent,
    ]);
    expect(shards.filter(({ parents }) => parents.includes(parent))).toHaveLength(2);
    const reader = events.open(parent, null);
    expect(await read(reader, 3)).toMatchObject({ texts: ['a', 'b'], ended: true });
    expect(await reader.next()).toEqual({ records: [], ended: true, behindMs: 0 });
  });
});
