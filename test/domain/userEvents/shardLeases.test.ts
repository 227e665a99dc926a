import fc from 'fast-check';
import { leasesToAcquire } from '../../../domain/userEvents/shardLeases.js';
import type { ShardLease } from '../../../domain/userEvents/shardLeases.js';

const shard = (shardId: string, more: Partial<ShardLease> = {}): ShardLease => ({
  shardId,
  parents: [],
  finished: false,
  owner: null,
  live: false,
  ...more,
});
const of = (owner: string) => ({ owner, live: true });
const claim = (shards: ShardLease[], me = 'me', listed = shards.map(({ shardId }) => shardId)) =>
  leasesToAcquire(shards, new Set(listed), me, 0);

describe('the shards that a listener claims', () => {
  it('are none that are finished, gone from the stream, or wait for a parent', () => {
    const shards = [
      shard('done', { finished: true }),
      shard('gone'),
      shard('parent', of('other')),
      shard('child', { parents: ['parent'] }),
      shard('merged', { parents: ['done', 'parent'] }),
    ];
    expect(claim(shards, 'me', ['done', 'parent', 'child', 'merged'])).toEqual([]);
  });

  it('are children as soon as every parent is finished or gone, however it was left', () => {
    const shards = [
      shard('done', { finished: true }),
      shard('trimmed', of('other')),
      shard('child', { parents: ['done', 'trimmed', 'never-seen'] }),
    ];
    expect(claim(shards, 'me', ['done', 'child'])).toEqual([{ shardId: 'child', from: null }]);
  });

  it('are what is free and what a dead listener has left, up to a fair share', () => {
    const shards = [
      shard('a', of('other')),
      shard('b', { owner: 'dead', live: false }),
      shard('c'),
      shard('d'),
      shard('e'),
    ];
    expect(claim(shards)).toEqual(['b', 'c', 'd'].map((shardId) => ({ shardId, from: null })));
  });

  it('are one of the richest when nothing is free, and only if that evens things out', () => {
    const rich = [shard('a', of('rich')), shard('b', of('rich')), shard('c', of('poor'))];
    expect(claim(rich)).toEqual([{ shardId: 'a', from: 'rich' }]);
    expect(claim([...rich, shard('d', of('me'))])).toEqual([]);
    expect(claim([shard('a', of('rich'))])).toEqual([]);
  });

  it('are none that it has, also when the lease has ended and nobody took it', () => {
    expect(claim([shard('a', { owner: 'me', live: false })])).toEqual([]);
  });

  it('end up evenly with any number of listeners, each shard with one of them', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 20 }),
        fc.integer({ min: 1, max: 6 }),
        fc.infiniteStream(fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true })),
        (count, listeners, chances) => {
          const shards = Array.from({ length: count }, (_, n) => shard(`s${n}`));
          const names = Array.from({ length: listeners }, (_, n) => `l${n}`);
          const listed = new Set(shards.map(({ shardId }) => shardId));
          for (let round = 0; round < 40; round += 1) {
            for (const me of names) {
              for (const { shardId, from } of leasesToAcquire(shards, listed, me, chances.next().value)) {
                const taken = shards.find((one) => one.shardId === shardId) as ShardLease;
                expect(taken.owner).toBe(from);
                Object.assign(taken, of(me));
              }
            }
          }
          const shares = names.map((me) => shards.filter(({ owner }) => owner === me).length);
          expect(shares.reduce((sum, share) => sum + share, 0)).toBe(count);
          expect(Math.max(...shares) - Math.min(...shares)).toBeLessThanOrEqual(1);
        },
      ),
    );
  });
});
