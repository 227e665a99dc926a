import { z } from 'zod';
import { refinedAccount } from './accounts.js';
import { aboutExampleItem, aboutItems } from './completeness.js';
import { exampleItem, history, itemFields, phase, statusNames } from './itemShape.js';
import { examplePage, pageOf, paging, shown, time, wellFormed, words } from './shared.js';

export const itemParams = z.strictObject({
  itemId: shown(256).meta({
    description: "Plaid's id of the item, case-sensitive",
    examples: ['Ed6bjNrDLJfGvZWwnkQlfxwoNz54B5C97ejBr'],
  }),
});

export const itemsQuery = z.strictObject({
  status: words('Items of these only, separated by commas', statusNames, [...statusNames]),
  include: words(
    "`accounts`: each item's accounts, refined; `logo`: its institution's logo, null where none can be had",
    ['accounts', 'logo'],
    [],
  ),
  ...paging,
});

export const itemAnswer = z.object(itemFields).meta({ id: 'Item', examples: [exampleItem] });

export const mainAccountBody = z
  .strictObject({
    main_account_id: wellFormed(shown(256)).meta({
      description: "Plaid's id of an open account of the item",
    }),
  })
  .meta({ examples: [{ main_account_id: 'blgvvBlXw3cq5GMPwqB6s6q4dLKB9WcVqGDGo' }] });

export const removalQuery = z.strictObject({
  force: z
    .enum(['true', 'false'])
    .default('false')
    .transform((given) => given === 'true')
    .meta({ description: 'Remove it although the user has an active float; needs the scope `admin`' }),
});

export const loginResetAnswer = z.object({ item_id: z.string(), reset_login: z.literal(true) }).meta({
  id: 'LoginReset',
  examples: [{ item_id: 'Ed6bjNrDLJfGvZWwnkQlfxwoNz54B5C97ejBr', reset_login: true }],
});

export const remineAnswer = z
  .object({ workflow_id: z.string().meta({ description: 'Its id in Temporal' }) })
  .meta({ id: 'Remine', examples: [{ workflow_id: 'item/Ed6bjNrDLJfGvZWwnkQlfxwoNz54B5C97ejBr/remine/1' }] });

export const syncAnswer = z
  .object({
    item_id: z.string(),
    running: z
      .boolean()
      .meta({ description: 'False: no workflow runs, and the rest is what the database says' }),
    phase,
    history,
    progress: z
      .object({
        pages: z.int().min(0).nullable(),
        rows: z.int().min(0).nullable(),
        restarts: z.int().min(0),
      })
      .nullable()
      .meta({
        description:
          'Of the update on its way; null when none is. How many pages and rows is null where the connection shows less than all of the item',
      }),
    remine: z
      .object({ workflow_id: z.string(), running: z.boolean() })
      .nullable()
      .meta({ description: 'A remine that is asked for or on its way' }),
    next_due_at: time.nullable(),
    last_update_at: time.nullable(),
    last_failure: z
      .object({
        step: z.string(),
        type: z.string(),
        error_code: z.string().optional().meta({ description: "Plaid's, where it said one" }),
        at: time,
      })
      .nullable()
      .meta({ description: 'The newest of what fails at present; null = everything works' }),
    waiting_for_publish: z.boolean().nullable().meta({ description: 'Changes wait for the streams' }),
  })
  .meta({
    id: 'ItemSync',
    examples: [
      {
        item_id: exampleItem.item_id,
        running: true,
        phase: 'updating',
        history: 'initial',
        progress: { pages: 3, rows: 1500, restarts: 0 },
        remine: null,
        next_due_at: '2026-11-22T19:02:09.000Z',
        last_update_at: '2026-11-21T07:02:09.000Z',
        last_failure: null,
        waiting_for_publish: false,
      },
    ],
  });

const listedItem = z
  .object({
    ...itemFields,
    accounts: z.array(refinedAccount).optional().meta({ description: 'With `include=accounts` alone' }),
    logo: z.string().nullable().optional().meta({ description: 'Base64 PNG; with `include=logo` alone' }),
  })
  .meta({ id: 'ListedItem', examples: [exampleItem] });

export const itemsAnswer = pageOf(listedItem, aboutItems).meta({
  id: 'ItemPage',
  ...examplePage(listedItem, aboutExampleItem),
});
