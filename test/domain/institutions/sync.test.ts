import fc from 'fast-check';
import {
  afterFailedPage,
  afterInstitutionPage,
  institutionsAtOnce,
  mayRepeatWalk,
  provenBy,
  startWalk,
} from '../../../domain/institutions/sync.js';

/** Walks through a list that `between` may change before each page; what it saw, and what it takes for proven. */
function walk(list: string[], size: number, between: (page: number) => void) {
  let sync = startWalk('s1');
  const seen = new Set<string>();
  for (let page = 0; ; page += 1) {
    between(page);
    const rows = list.slice(sync.offset, sync.offset + size);
    for (const row of rows) seen.add(row);
    const kept = rows.filter((row) => !row.startsWith('bad')).length;
    const listed = { listed: rows.length, kept, total: list.length };
    const after = afterInstitutionPage(sync, listed, { pagesPerMinute: 25, patches: {} }, page);
    sync = after.sync;
    if (after.ended) return { seen, sync, pages: page + 1 };
    expect(page).toBeLessThan(list.length + 2);
  }
}

const names = (count: number): string[] => Array.from({ length: count }, (_, n) => `ins_${n}`);

describe('a walk through the list', () => {
  it('of 12,000 takes 24 pages and sees all', () => {
    const { seen, sync, pages } = walk(names(12_000), 500, () => undefined);
    expect([pages, seen.size, provenBy(sync)]).toEqual([24, 12_000, 12_000]);
  });

  it('of nothing ends at once', () => {
    const { sync, pages } = walk([], 500, () => undefined);
    expect([pages, provenBy(sync)]).toEqual([1, 0]);
  });

  it('proves nothing when the list shrinks or grows on the way, and ends all the same', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 3, max: 60 }),
        fc.integer({ min: 1, max: 9 }),
        fc.nat(),
        fc.boolean(),
        (count, size, at, grows) => {
          const list = names(count);
          fc.pre(Math.ceil(count / size) > 1);
          const { sync } = walk(list, size, (page) => {
            if (page !== 1) return;
            if (grows) list.splice(at % list.length, 0, 'ins_new');
            else list.splice(at % list.length, 1);
          });
          expect(provenBy(sync)).toBeNull();
        },
      ),
    );
  });

  it('does not wait for what has no id', () => {
    const { sync } = walk(['ins_1', 'bad', 'ins_2'], 2, () => undefined);
    expect(provenBy(sync)).toBe(2);
  });

  it('goes on behind a page that fails again and again, or is refused at once, sees all others, and proves nothing', () => {
    for (const refused of [false, true]) {
      const total = 3 * institutionsAtOnce;
      let sync = startWalk('s1');
      const had = new Set<number>();
      for (let [calls, ended] = [0, false]; !ended; calls += 1) {
        expect(calls).toBeLessThan(20);
        if (sync.offset === institutionsAtOnce) {
          ({ sync, ended } = afterFailedPage(sync, refused));
        } else {
          had.add(sync.offset);
          const page = { listed: institutionsAtOnce, kept: institutionsAtOnce, total };
          ({ sync, ended } = afterInstitutionPage(sync, page, { pagesPerMinute: 25, patches: {} }, calls));
        }
      }
      expect([...had]).toEqual([0, 2 * institutionsAtOnce]);
      expect([provenBy(sync), sync.failures]).toEqual([null, 0]);
    }
  });

  it('ends when its last page is passed over, and not before it knows how long the list is', () => {
    const rules = { pagesPerMinute: 25, patches: {} };
    const passOver = (sync: Parameters<typeof afterFailedPage>[0]) => afterFailedPage(sync, true).ended;
    expect(passOver(startWalk('s1'))).toBe(false);
    const page = { listed: institutionsAtOnce, kept: institutionsAtOnce, total: institutionsAtOnce + 1 };
    expect(passOver(afterInstitutionPage(startWalk('s1'), page, rules, 0).sync)).toBe(true);
  });

  it('is made again under another id, a few times, and keeps the calls that count', () => {
    let { sync } = walk(names(9), 2, () => undefined);
    const ids = [sync.walk];
    while (mayRepeatWalk(sync)) {
      const before = sync;
      sync = startWalk(`s${sync.walk + 1}`, sync);
      expect(sync).toMatchObject({ offset: 0, total: null, moved: false, calls: before.calls });
      ids.push(sync.walk);
    }
    expect(ids).toEqual([1, 2, 3]);
  });
});
