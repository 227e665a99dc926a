import { asText, isSet, selection } from '../../drizzle/selection.js';
import type { Present, RowOf, Selected } from '../../drizzle/selection.js';
import { firstOf } from '../../drizzle/rows.js';
import { balanceSnapshots, items } from '../../drizzle/schema.js';
import type { transactions } from '../../drizzle/schema.js';
import type { World } from './world.js';
import { linkedItem, openWorld } from './world.js';

let world: World;
beforeAll(async () => {
  world = await openWorld();
});
afterAll(() => world.close());

const shown = selection(items, ['item_id', 'history', 'last_sequence', 'next_due_at'], {
  admitted: isSet('admitted_at'),
  removed: isSet('removed_at'),
  owner: 'user_id',
  due_key: asText('next_due_at'),
  created_key: asText('created_at'),
});

/** Whether two types are the very same: `tsc` refuses `true` where they are not. */
type Same<A, B> = (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false;
const claims = <Claim extends true>(...claim: Claim[]): Claim[] => claim;

describe('a selection of columns', () => {
  it('has the types of the schema', () => {
    expect(
      claims<
        Same<
          Selected<typeof shown>,
          {
            item_id: string;
            history: 'none' | 'initial' | 'complete';
            last_sequence: number;
            next_due_at: Date | null;
            admitted: boolean;
            removed: boolean;
            owner: string;
            due_key: string | null;
            created_key: string;
          }
        >
      >(true),
    ).toEqual([true]);
    expect(
      claims<
        Same<Present<Pick<RowOf<typeof transactions>, 'date' | 'amount'>>, { date: Date; amount: string }>
      >(true),
    ).toEqual([true]);
  });

  it('takes no column that the schema does not have', () => {
    const mistakes = [
      // @ts-expect-error: a name of the schema's keys, not of PostgreSQL's columns
      selection(items, ['itemId']),
      // @ts-expect-error: no such column
      selection(items, [], { removed: isSet('removed') }),
      // @ts-expect-error: no such column
      selection(items, [], { key: asText('created') }),
      // @ts-expect-error: another table's column
      selection(items, [], { account: 'account_id' }),
    ];
    expect(mistakes).toHaveLength(4);
  });

  it('gives those columns, of the table itself and under an alias', async () => {
    const { itemId, userId } = await linkedItem(world);
    const { sql } = world;
    await sql`UPDATE items SET next_due_at = '2030-01-01 00:00:00.123456+00' WHERE item_id = ${itemId}`;
    const row = firstOf(
      await sql<Selected<typeof shown>[]>`SELECT ${shown.list(sql)} FROM items WHERE item_id = ${itemId}`,
    );
    expect(row).toEqual({
      item_id: itemId,
      history: 'none',
      last_sequence: 0,
      next_due_at: new Date('2030-01-01T00:00:00.123Z'),
      admitted: true,
      removed: false,
      owner: userId,
      due_key: expect.stringMatching(/\.123456/) as string,
      created_key: expect.any(String) as string,
    });
    const joined = firstOf(
      await sql.begin(
        (tx) => tx<Selected<typeof shown>[]>`
          SELECT ${shown.list(tx, 'i')} FROM items i JOIN items other USING (item_id)
          WHERE i.item_id = ${itemId} AND other.user_id = ${userId}`,
      ),
    );
    expect(joined).toEqual(row);
  });

  it('quotes names that PostgreSQL has a use for', async () => {
    const { sql } = world;
    const limits = selection(balanceSnapshots, ['limit']);
    await expect(sql`SELECT ${limits.list(sql, 'b')} FROM balance_snapshots b`).resolves.toHaveLength(0);
  });
});
