import { takenApart } from '../../src/clients/kplRecord.js';
import { aggregated, aggregateOf } from './kplAggregate.js';

const texts = (parts: Uint8Array[] | null) => parts?.map((part) => Buffer.from(part).toString()) ?? null;

describe('a record of the Kinesis Producer Library', () => {
  it('is taken apart, whatever stands beside the data', () => {
    const many = Array.from({ length: 1_000 }, (_, place) => `event ${place}`);
    expect(texts(takenApart(aggregated(many)))).toEqual(many);
    expect(texts(takenApart(aggregated(['', 'x'.repeat(100_000)])))).toEqual(['', 'x'.repeat(100_000)]);
    expect(takenApart(aggregated([]))).toEqual([]);
    const rich = aggregateOf({
      partitionKeyTable: ['a', 'b'],
      explicitHashKeyTable: ['340282366920938463463374607431768211455'],
      records: [
        {
          partitionKeyIndex: 1,
          explicitHashKeyIndex: 0,
          data: Buffer.from('one'),
          tags: [{ key: 'k', value: 'v' }],
        },
        { partitionKeyIndex: 2 ** 40, data: Buffer.from('two') },
      ],
    });
    expect(texts(takenApart(rich))).toEqual(['one', 'two']);
  });

  it.each([
    ['JSON', Buffer.from('{"type":"user.logged_in"}')],
    ['nothing', Buffer.alloc(0)],
    ['less than the magic bytes', Buffer.from('f3899a', 'hex')],
    ['other bytes', Buffer.from('f3899ac3000000', 'hex')],
  ])('is not seen in %s', (_name, bytes) => {
    expect(takenApart(bytes)).toEqual([bytes]);
  });

  const sound = aggregated(['one', 'two']);
  const flipped = Buffer.from(sound);
  flipped.writeUInt8(flipped.readUInt8(12) ^ 1, 12);
  it.each([
    ['the magic bytes alone', sound.subarray(0, 4)],
    ['no room for a digest', sound.subarray(0, 19)],
    ['a message that was cut', sound.subarray(0, -1)],
    ['a bit that fell over', flipped],
    ['a message that is no protobuf', aggregated(['one'], Buffer.from([0xff, 0xff, 0xff]))],
    ['a length beyond its end', aggregated(['one'], Buffer.from([0x1a, 0x7f, 0x01]))],
    ['a record without data', aggregated([], Buffer.from([0x1a, 0x02, 0x08, 0x00]))],
  ])('is broken by %s', (_name, bytes) => {
    expect(takenApart(bytes)).toBeNull();
  });
});
