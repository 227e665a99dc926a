/**
 * The shapes of requests and answers, as zod schemas: what validates is what OpenAPI shows. A schema with an `id` becomes a
 * component of that name.
 */
import { z } from 'zod';

// Patterns are strings in OpenAPI too; `u` makes them count characters, as PostgreSQL and JSON Schema do, not UTF-16 units.
const pattern = (source: string): RegExp => new RegExp(source, 'u');

const shown = (longest: number): z.ZodString =>
  z
    .string()
    .regex(
      pattern(`^[^\\u0000-\\u001f\\u007f]{1,${longest}}$`),
      `must be 1 to ${longest} characters, none of them a control character`,
    );

const opaque = z.string().regex(pattern('^[A-Za-z0-9_-]{1,64}$'), 'must be an id as this API gave it');

/** Text in a body: PostgreSQL takes neither NUL nor a lone surrogate, and both can be written in JSON. */
const storable = (longest: number): z.ZodString =>
  z
    .string()
    .regex(pattern(`^[^\\u0000]{0,${longest}}$`), `must be at most ${longest} characters without NUL`)
    .refine((value) => !/\p{Cs}/u.test(value), 'must be well-formed Unicode');

const wellFormed = (schema: z.ZodString): z.ZodString =>
  schema.refine((value) => !/\p{Cs}/u.test(value), 'must be well-formed Unicode');

// ─── Parameters ─────────────────────────────────────────────────────────────────────────────────────────────────────

export const userParams = z.strictObject({
  userId: shown(128).meta({ description: "The client's own id of the user", examples: ['user-42'] }),
});

export const itemParams = z.strictObject({
  itemId: shown(256).meta({
    description: "Plaid's id of the item, case-sensitive",
    examples: ['Ed6bjNrDLJfGvZWwnkQlfxwoNz54B5C97ejBr'],
  }),
});

export const institutionParams = z.strictObject({
  institutionId: shown(256).meta({
    description: "Plaid's id of the institution, case-sensitive",
    examples: ['ins_109508'],
  }),
});

const id = (what: string, example: string) =>
  z.strictObject({ id: opaque.meta({ description: what, examples: [example] }) });
const anyId = '0192f0c1-7c1e-7a43-9d0e-3f6c2b5a8e11';
export const webhookParams = id('Id of the stored webhook', anyId);
export const applicationParams = id('Id of the application', anyId);
export const keyParams = id('Id of the key (not the key itself)', anyId);

export const idempotencyHeaders = z.looseObject({
  'idempotency-key': z
    .string()
    .regex(pattern('^[\\u0021-\\u007e]{1,255}$'), 'must be 1 to 255 visible ASCII characters')
    .optional()
    .meta({
      description: 'Any text of your own, new for each request that is not a repeat: a UUID, say',
      examples: ['7a0c5a57-1d5f-4a49-9a8b-0f7f4c1b8f0e'],
    }),
});

/** Whole numbers in a query: digits only, where `Number` would take `1e2`, ` 5` and the empty text. */
const digits = (value: unknown): unknown =>
  typeof value === 'string' && /^\d{1,6}$/.test(value) ? Number(value) : value;

const limit = z
  .preprocess(digits, z.int().min(1).max(500))
  .default(100)
  .meta({ description: 'Rows on a page', 'x-default': 100 });

/** Two of the longest ids of four bytes a character, in base64, and the seal. */
export const longestCursor = 4_096;

const cursor = z
  .string()
  .min(1)
  .max(longestCursor)
  .optional()
  .meta({ description: '`next_cursor` of the page before, under the same filters' });

const paging = { limit, cursor };

const flag = (description: string) =>
  z
    .preprocess(
      (value) => (value === 'true' ? true : value === 'false' ? false : value),
      z.boolean('must be true or false'),
    )
    .default(false)
    .meta({ description, 'x-default': false });

/** A comma-separated list of words; what is said twice counts once. */
const words = <const Words extends readonly [string, ...string[]]>(
  description: string,
  all: Words,
  absent: Words[number][],
) =>
  z
    .preprocess(
      (value) => (typeof value === 'string' ? [...new Set(value.split(','))] : value),
      z.array(z.enum(all)).min(1),
    )
    .default(absent as never)
    .meta({ description, style: 'form', explode: false, 'x-default': absent });

const statusNames = ['ACTIVE', 'ERROR', 'REMOVED'] as const;
const transactionStatuses = ['pending', 'posted', 'removed'] as const;

const format = z
  .enum(['refined', 'raw'])
  .default('refined')
  .meta({ description: "`raw`: Plaid's own objects as received" });

export const itemsQuery = z.strictObject({
  status: words('Items of these only, separated by commas', statusNames, [...statusNames]),
  include: words(
    "`accounts`: each item's accounts, refined; `logo`: its institution's logo, null where none can be had",
    ['accounts', 'logo'],
    [],
  ),
  ...paging,
});

export const accountsOfItemQuery = z.strictObject({ format, ...paging });

const includeRemoved = flag('Rows of REMOVED items too');

export const accountsOfUserQuery = z.strictObject({ include_removed: includeRemoved, format, ...paging });

const day = (description: string) =>
  z.iso
    .date('must be a date such as 2026-01-31')
    // Our calendar has no year 0, and PostgreSQL refuses it.
    .regex(pattern('^(?!0000)'), 'must be in the year 1 or later')
    .optional()
    .meta({ description });

const transactionFilters = {
  from: day('First date, inclusive'),
  to: day('Last date, inclusive; before `from` the list is empty'),
  account_id: shown(256).optional().meta({ description: "Plaid's id of one account" }),
  status: words('Transactions of these only, separated by commas', transactionStatuses, [
    'pending',
    'posted',
  ]),
  format,
  ...paging,
};

export const balancesQuery = z.strictObject({
  account_id: shown(256).optional().meta({ description: "Plaid's id of one account" }),
  from: day('First day (UTC), inclusive'),
  to: day('Last day (UTC), inclusive; before `from` the list is empty'),
  ...paging,
});

export const transactionsOfItemQuery = z.strictObject(transactionFilters);

export const transactionsOfUserQuery = z.strictObject({
  include_removed: includeRemoved,
  ...transactionFilters,
});

const offset = z
  .preprocess(digits, z.int().min(0).max(999_999))
  .default(0)
  .meta({ description: 'Rows to skip', 'x-default': 0 });

export const liveTransactionsQuery = z.strictObject({
  from: day('First date, inclusive; default: two years before `to`'),
  to: day('Last date, inclusive; default: tomorrow (UTC), so that no time zone lacks its today'),
  account_id: shown(256).optional().meta({ description: "Plaid's id of one account" }),
  limit,
  offset,
});

export const institutionsQuery = z.strictObject({
  query: wellFormed(shown(128)).optional().meta({ description: 'Part of the name, whatever its case' }),
  country: z
    .string()
    .regex(pattern('^[A-Z]{2}$'), 'must be a country code such as US')
    .optional()
    .meta({ description: 'ISO 3166-1 alpha-2' }),
  ...paging,
});

export const floatParams = z.strictObject({
  ...userParams.shape,
  floatId: shown(128).meta({ description: "The owner's own id of the float", examples: ['float-7'] }),
});

export const webhooksQuery = z.strictObject({
  item_id: shown(256).optional().meta({ description: 'Webhooks of one item' }),
  verdict: z
    .enum(['accepted', 'rejected'])
    .optional()
    .meta({ description: 'Whether the signature was good' }),
  outcome: z
    .enum(['pending', 'done', 'ignored', 'rejected'])
    .optional()
    .meta({ description: 'What came of them' }),
  ...paging,
});

export const noQuery = z.strictObject({});

// ─── Bodies ─────────────────────────────────────────────────────────────────────────────────────────────────────────

export const linkTokenBody = z
  .strictObject({
    mode: z
      .enum(['create', 'update'])
      .optional()
      .meta({ description: 'Absent: update when the user has an item that can be updated, else create' }),
    item_id: wellFormed(shown(256)).optional().meta({ description: 'The item to update' }),
  })
  // A body may be left out altogether.
  .default({})
  .meta({ examples: [{}, { mode: 'create' }, { mode: 'update' }] });

const fromLink = storable(256).nullish();

export const linkBody = z
  .strictObject({
    public_token: z
      .string()
      .regex(pattern('^[\\u0021-\\u007e]{1,512}$'), "must be the public token of Link's onSuccess")
      .meta({ description: "The public token that Link's `onSuccess` gave" }),
    main_account_id: wellFormed(shown(256)).nullish().meta({
      description: 'Account that pays; default: first open checking, else depository, else first account',
    }),
    institution_id: wellFormed(shown(256))
      .nullish()
      .meta({ description: "`metadata.institution.institution_id` of Link's `onSuccess`" }),
    accounts: z
      .array(
        // Plaid adds fields to Link's metadata at any time, and clients hand it on as it is.
        z.looseObject({ mask: fromLink, name: fromLink, type: fromLink, subtype: fromLink }),
      )
      .max(500)
      .nullish()
      .meta({
        description:
          "`metadata.accounts` of Link's `onSuccess`. With it and `institution_id` a duplicate is found before the exchange",
      }),
  })
  .meta({
    examples: [
      { public_token: 'public-sandbox-b0e2c4ee-a763-4df5-bfe9-46a46bce993d' },
      {
        public_token: 'public-sandbox-b0e2c4ee-a763-4df5-bfe9-46a46bce993d',
        institution_id: 'ins_109508',
        accounts: [{ name: 'Plaid Checking', mask: '0000', type: 'depository', subtype: 'checking' }],
      },
    ],
  });

export const loginBody = z
  .strictObject({})
  // A body may be left out altogether.
  .default({})
  .meta({ examples: [{}] });

const floatStatus = z.enum(['active', 'closed']);

export const floatBody = z
  .strictObject({ status: floatStatus })
  .meta({ examples: [{ status: 'active' }, { status: 'closed' }] });

export const applicationBody = z
  .strictObject({ name: wellFormed(shown(200)) })
  .meta({ examples: [{ name: 'payments' }] });

const scope = z.enum(['read', 'write', 'numbers', 'admin']);

export const keyBody = z
  .strictObject({
    scopes: z
      .array(scope)
      .min(1)
      .max(4)
      .meta({ description: '`admin` implies `read` and `write`, never `numbers`' }),
  })
  .meta({ examples: [{ scopes: ['read', 'write'] }] });

// ─── Answers ────────────────────────────────────────────────────────────────────────────────────────────────────────

// Said, not enforced: an answer must not fail because a stored time is written in another way.
const time = z.string().meta({ format: 'date-time' });
const phase = z.enum(['created', 'updating', 'idle', 'needs_relink', 'removed']);
const history = z.enum(['none', 'initial', 'complete']).meta({
  description: 'How far Plaid has fetched: nothing, about 30 days, up to two years',
});

const itemFields = {
  item_id: z.string(),
  user_id: z.string(),
  status: z.enum(statusNames),
  phase,
  institution_id: z.string().nullable(),
  institution_name: z.string().nullable(),
  main_account_id: z.string().nullable(),
  error: z.object({ error_type: z.string(), error_code: z.string(), since: time }).nullable(),
  history,
  last_update_at: time.nullable(),
  last_webhook_at: time.nullable(),
  consent_expires_at: time.nullable(),
  new_accounts_available: z.boolean(),
  created_at: time,
  removed_at: time.nullable(),
};

const exampleItem = {
  item_id: 'Ed6bjNrDLJfGvZWwnkQlfxwoNz54B5C97ejBr',
  user_id: 'user-42',
  status: 'ACTIVE',
  phase: 'idle',
  institution_id: 'ins_109508',
  institution_name: 'First Platypus Bank',
  main_account_id: 'BxBXxLj1m4HMXBm9WZZmCWVbPjX16EHwv99vp',
  error: null,
  history: 'complete',
  last_update_at: '2026-11-21T07:02:09.000Z',
  last_webhook_at: '2026-11-21T07:02:03.000Z',
  consent_expires_at: null,
  new_accounts_available: false,
  created_at: '2026-11-20T10:00:00.000Z',
  removed_at: null,
} as const;

export const itemAnswer = z.object(itemFields).meta({ id: 'Item', examples: [exampleItem] });

export const linkedAnswer = z
  .object({
    ...itemFields,
    replaces: z
      .string()
      .optional()
      .meta({ description: 'The broken item of the same account that this one took the place of' }),
    warnings: z.array(z.enum(['main_account_unknown'])).optional(),
  })
  .meta({ id: 'LinkedItem', examples: [exampleItem] });

export const userAnswer = z
  .object({
    user_id: z.string(),
    status: z.enum(['inactive', 'active']),
    activated_at: time.nullable(),
    items: z.int().min(0),
  })
  .meta({
    id: 'User',
    examples: [{ user_id: 'user-42', status: 'active', activated_at: '2026-11-20T10:00:00.000Z', items: 1 }],
  });

export const itemChangeAnswer = z
  .object({
    allowed: z.boolean(),
    reasons: z
      .array(z.enum(['ACTIVE_FLOAT', 'COOLDOWN']))
      .meta({ description: 'Why not; empty when allowed' }),
  })
  .meta({
    id: 'ItemChange',
    examples: [
      { allowed: true, reasons: [] },
      { allowed: false, reasons: ['ACTIVE_FLOAT'] },
    ],
  });

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

/** Objects of Plaid's `/auth/get`: open, since Plaid adds fields at any time. */
const numbersOfKind = z.array(z.record(z.string(), z.unknown()));

export const numbersAnswer = z
  .object({
    item_id: z.string(),
    numbers: z.array(
      z.object({
        account_id: z.string(),
        as_of: time.meta({ description: 'When they were read from Plaid' }),
        ach: numbersOfKind,
        eft: numbersOfKind,
        international: numbersOfKind,
        bacs: numbersOfKind,
      }),
    ),
    withheld: z
      .array(
        z.object({
          account_id: z.string(),
          reason: z.enum(['account_closed', 'account_revoked', 'permission_revoked']),
        }),
      )
      .meta({ description: 'Accounts whose numbers are stored and must not be used' }),
  })
  .meta({
    id: 'Numbers',
    examples: [
      {
        item_id: 'Ed6bjNrDLJfGvZWwnkQlfxwoNz54B5C97ejBr',
        numbers: [
          {
            account_id: 'blgvvBlXw3cq5GMPwqB6s6q4dLKB9WcVqGDGo',
            as_of: '2026-11-20T10:00:00.000Z',
            ach: [{ account: '9876543210', routing: '110000000', wire_routing: '110000001' }],
            eft: [],
            international: [],
            bacs: [],
          },
        ],
        withheld: [],
      },
    ],
  });

export const loginAnswer = z
  .object({
    items: z.array(
      z.object({
        item_id: z.string(),
        stale: z.boolean(),
        webhook_id: z
          .string()
          .optional()
          .meta({ description: 'Of a stale item: the stored webhook that makes it update' }),
        reason: z
          .string()
          .optional()
          .meta({
            description:
              'Why it is stale: `last_update_old`, `plaid_newer`, `update_waiting`; of one that is not, what kept us from asking Plaid ' +
              '(`UPSTREAM_DOWN`, say)',
          }),
      }),
    ),
  })
  .meta({
    id: 'LoginCheck',
    examples: [
      {
        items: [
          {
            item_id: exampleItem.item_id,
            stale: true,
            webhook_id: anyId,
            reason: 'last_update_old',
          },
        ],
      },
      { items: [{ item_id: exampleItem.item_id, stale: false }] },
    ],
  });

export const floatAnswer = z
  .object({
    user_id: z.string(),
    float_id: z.string(),
    status: floatStatus,
    occurred_at: time.meta({ description: 'When it became so' }),
  })
  .meta({
    id: 'Float',
    examples: [
      {
        user_id: 'user-42',
        float_id: 'float-7',
        status: 'active',
        occurred_at: '2026-11-21T07:02:09.000Z',
      },
    ],
  });

export const linkTokenAnswer = z
  .object({
    link_token: z.string(),
    expiration: z.string(),
    mode: z.enum(['create', 'update']),
    item_id: z.string().optional().meta({ description: 'In update mode: the item' }),
  })
  .meta({
    id: 'LinkToken',
    examples: [
      {
        link_token: 'link-sandbox-af1a0311-da53-4636-b754-dd15cc058176',
        expiration: '2026-11-21T11:02:09Z',
        mode: 'create',
      },
    ],
  });

export const syncAnswer = z
  .object({
    item_id: z.string(),
    running: z
      .boolean()
      .meta({ description: 'False: no workflow runs, and the rest is what the database says' }),
    phase,
    history,
    progress: z
      .object({ pages: z.int().min(0), rows: z.int().min(0), restarts: z.int().min(0) })
      .nullable()
      .meta({ description: 'Of the update on its way; null when none is' }),
    remine: z
      .object({ workflow_id: z.string(), running: z.boolean() })
      .nullable()
      .meta({ description: 'A remine that is asked for or on its way' }),
    next_due_at: time.nullable(),
    last_update_at: time.nullable(),
    last_failure: z.object({ step: z.string(), type: z.string(), at: time }).nullable(),
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

export const applicationAnswer = z
  .object({ application_id: z.string(), name: z.string(), created_at: time })
  .meta({
    id: 'Application',
    examples: [{ application_id: anyId, name: 'payments', created_at: '2026-11-21T07:02:09.000Z' }],
  });

export const keyAnswer = z
  .object({
    key_id: z.string(),
    key: z.string().meta({ description: 'Shown this once; only its hash is kept' }),
    application_id: z.string(),
    scopes: z.array(scope),
  })
  .meta({
    id: 'NewKey',
    examples: [
      {
        key_id: anyId,
        key: 'sluice_qZ7bq0Y5nq8mJX2o0c4XG1l6v0rU3v9wE5tY8kB2dNs',
        application_id: anyId,
        scopes: ['read', 'write'],
      },
    ],
  });

export const webhookAnswer = z
  .object({
    webhook_id: z.string(),
    received_at: time,
    source: z.enum(['plaid', 'synthetic', 'replay']),
    verdict: z.enum(['accepted', 'rejected']),
    webhook_type: z.string().nullable(),
    webhook_code: z.string().nullable(),
    item_id: z.string().nullable(),
    outcome: z.object({
      state: z.enum(['pending', 'done', 'ignored', 'rejected']),
      reason: z.string().nullable(),
    }),
    body: z.string().meta({ description: 'As received, as text' }),
  })
  .meta({
    id: 'Webhook',
    examples: [
      {
        webhook_id: anyId,
        received_at: '2026-11-21T07:02:03.000Z',
        source: 'plaid',
        verdict: 'accepted',
        webhook_type: 'TRANSACTIONS',
        webhook_code: 'SYNC_UPDATES_AVAILABLE',
        item_id: exampleItem.item_id,
        outcome: { state: 'done', reason: null },
        body: '{\n  "item_id": "Ed6bjNrDLJfGvZWwnkQlfxwoNz54B5C97ejBr",\n  "webhook_code": "SYNC_UPDATES_AVAILABLE",\n  "webhook_type": "TRANSACTIONS"\n}',
      },
    ],
  });

const decimal = z.string().meta({ description: 'Decimal number as text', examples: ['12.34'] });

const refinedTransaction = z
  .object({
    id: z.string(),
    item_id: z.string(),
    user_id: z.string(),
    account_id: z.string().nullable(),
    institution_id: z.string().nullable(),
    status: z.enum(transactionStatuses),
    direction: z.enum(['outflow', 'inflow']).nullable(),
    amount: decimal.nullable(),
    currency: z.string().nullable(),
    date: z.string().nullable(),
    authorized_date: z.string().nullable(),
    datetime: z.string().nullable(),
    authorized_datetime: z.string().nullable(),
    description: z.string().nullable(),
    merchant: z
      .object({
        name: z.string().nullable(),
        id: z.string().nullable(),
        logo_url: z.string().nullable(),
        website: z.string().nullable(),
      })
      .nullable(),
    category: z
      .object({ primary: z.string(), detailed: z.string(), confidence: z.string().nullable() })
      .nullable(),
    channel: z.string().nullable(),
    check_number: z.string().nullable(),
    location: z.looseObject({}).nullable(),
    replaces: z
      .string()
      .nullable()
      .meta({ description: 'The pending transaction whose place this one took' }),
    version: z.int().min(1),
  })
  .meta({
    id: 'Transaction',
    examples: [
      {
        id: 'lPNjeW1nR6CDn5okmGQ6hEpMo4lLNoSrzqDje',
        item_id: exampleItem.item_id,
        user_id: 'user-42',
        account_id: 'BxBXxLj1m4HMXBm9WZZmCWVbPjX16EHwv99vp',
        institution_id: 'ins_109508',
        status: 'posted',
        direction: 'outflow',
        amount: '12.34',
        currency: 'USD',
        date: '2026-11-19',
        authorized_date: '2026-11-18',
        datetime: null,
        authorized_datetime: null,
        description: 'COFFEE 0042',
        merchant: { name: 'Coffee', id: null, logo_url: null, website: null },
        category: { primary: 'FOOD_AND_DRINK', detailed: 'FOOD_AND_DRINK_COFFEE', confidence: 'HIGH' },
        channel: 'in store',
        check_number: null,
        location: null,
        replaces: null,
        version: 1,
      },
    ],
    description: 'Fields are null only in a row that was removed before it was ever seen',
  });

const refinedBalances = z.object({
  available: decimal.nullable(),
  current: decimal.nullable(),
  limit: decimal.nullable(),
  currency: z.string().nullable(),
  as_of: time,
});

const refinedAccount = z
  .object({
    id: z.string(),
    item_id: z.string(),
    user_id: z.string(),
    institution_id: z.string().nullable(),
    name: z.string(),
    official_name: z.string().nullable(),
    mask: z.string().nullable(),
    type: z.string(),
    subtype: z.string().nullable(),
    status: z.enum(['open', 'closed']),
    is_main: z.boolean(),
    balances: refinedBalances,
    persistent_id: z.string().nullable(),
    holder_category: z.string().nullable(),
    version: z.int().min(1),
  })
  .meta({
    id: 'Account',
    examples: [
      {
        id: 'BxBXxLj1m4HMXBm9WZZmCWVbPjX16EHwv99vp',
        item_id: exampleItem.item_id,
        user_id: 'user-42',
        institution_id: 'ins_109508',
        name: 'Plaid Checking',
        official_name: 'Plaid Gold Standard 0% Interest Checking',
        mask: '0000',
        type: 'depository',
        subtype: 'checking',
        status: 'open',
        is_main: true,
        balances: {
          available: '100',
          current: '110.5',
          limit: null,
          currency: 'USD',
          as_of: '2026-11-21T07:02:09.000Z',
        },
        persistent_id: null,
        holder_category: 'personal',
        version: 1,
      },
    ],
  });

const dayBalances = z
  .object({
    item_id: z.string(),
    account_id: z.string(),
    day: z.iso.date().meta({ description: 'UTC' }),
    balances: refinedBalances.meta({ description: 'The last ones seen that day' }),
  })
  .meta({
    id: 'DayBalances',
    examples: [
      {
        item_id: exampleItem.item_id,
        account_id: 'BxBXxLj1m4HMXBm9WZZmCWVbPjX16EHwv99vp',
        day: '2026-11-21',
        balances: {
          available: '100',
          current: '110.5',
          limit: null,
          currency: 'USD',
          as_of: '2026-11-21T07:00:00.000Z',
        },
      },
    ],
  });

export type RefinedAccount = z.infer<typeof refinedAccount>;

const plaidObject = z.looseObject({}).meta({ id: 'PlaidObject', description: "Plaid's object as received" });

const plaidRequestId = z.string().meta({ description: "Id of Plaid's own answer, for questions to Plaid" });

const plaidAccount = {
  account_id: 'BxBXxLj1m4HMXBm9WZZmCWVbPjX16EHwv99vp',
  balances: {
    available: 100,
    current: 110.5,
    limit: null,
    iso_currency_code: 'USD',
    unofficial_currency_code: null,
  },
  mask: '0000',
  name: 'Plaid Checking',
  official_name: 'Plaid Gold Standard 0% Interest Checking',
  type: 'depository',
  subtype: 'checking',
};

export const institutionAnswer = z
  .object({
    institution_id: z.string(),
    name: z.string(),
    country_codes: z.array(z.string()),
    products: z.array(z.string()),
    oauth: z.boolean(),
    url: z.string().nullable(),
    primary_color: z.string().nullable(),
    logo: z.string().nullable().meta({ description: 'Base64 PNG' }),
    status: plaidObject
      .nullable()
      .meta({ description: "Plaid's connection status by product, as of `status_at`" }),
    status_at: time.nullable(),
    synced_at: time.meta({ description: 'When Plaid was last heard of it' }),
    vanished_at: time.nullable().meta({ description: 'Since when Plaid no longer lists it' }),
  })
  .meta({
    id: 'Institution',
    examples: [
      {
        institution_id: 'ins_109508',
        name: 'First Platypus Bank',
        country_codes: ['US'],
        products: ['auth', 'balance', 'identity', 'transactions'],
        oauth: false,
        url: 'https://www.plaid.com',
        primary_color: '#1f1f1f',
        logo: null,
        status: null,
        status_at: null,
        synced_at: '2026-11-21T00:00:12.000Z',
        vanished_at: null,
      },
    ],
  });

export const liveInstitutionAnswer = z.object({ institution: plaidObject, request_id: plaidRequestId }).meta({
  id: 'LiveInstitution',
  examples: [
    {
      institution: {
        institution_id: 'ins_109508',
        name: 'First Platypus Bank',
        country_codes: ['US'],
        products: ['auth', 'transactions'],
        routing_numbers: [],
        oauth: false,
        status: { item_logins: { status: 'HEALTHY', last_status_change: '2026-11-20T10:00:00Z' } },
      },
      request_id: 'm8MDnv9okwxFNBV',
    },
  ],
});

export const liveAccountsAnswer = z
  .object({ accounts: z.array(plaidObject), request_id: plaidRequestId })
  .meta({
    id: 'LiveAccounts',
    examples: [{ accounts: [plaidAccount], request_id: 'm8MDnv9okwxFNBV' }],
  });

export const liveTransactionsAnswer = z
  .object({
    transactions: z.array(plaidObject),
    total_transactions: z
      .number()
      .meta({ description: 'In the range, as far as Plaid has fetched it; page on with `offset`' }),
    request_id: plaidRequestId,
  })
  .meta({
    id: 'LiveTransactions',
    examples: [
      {
        transactions: [
          {
            transaction_id: 'lPNjeW1nR6CDn5okmGQ6hEpMo4lLNoSrzqDje',
            account_id: plaidAccount.account_id,
            amount: 12.34,
            iso_currency_code: 'USD',
            date: '2026-11-19',
            name: 'Coffee',
            original_description: 'COFFEE 0042',
            pending: false,
          },
        ],
        total_transactions: 1,
        request_id: 'm8MDnv9okwxFNBV',
      },
    ],
  });

const completeness = z.object({ item_id: z.string(), phase, history, as_of: time.nullable() }).meta({
  id: 'Completeness',
  description: 'How complete the cached answer is, so that "not fetched yet" is never taken for "empty"',
});

const pageOf = <Row extends z.ZodType, Meta extends z.ZodType>(row: Row, meta: Meta) =>
  z.object({
    data: z.array(row),
    next_cursor: z.string().nullable().meta({ description: 'null at the end' }),
    has_more: z.boolean(),
    meta,
  });

const aboutItems = z.object({ items: z.array(completeness) });

const listedItem = z
  .object({
    ...itemFields,
    accounts: z.array(refinedAccount).optional().meta({ description: 'With `include=accounts` alone' }),
    logo: z.string().nullable().optional().meta({ description: 'Base64 PNG; with `include=logo` alone' }),
  })
  .meta({ id: 'ListedItem', examples: [exampleItem] });

/** A page with the example of its row. */
const examplePage = (row: z.ZodType, meta: object) => ({
  examples: [
    {
      data: (row.meta()?.['examples'] as unknown[] | undefined)?.slice(0, 1) ?? [],
      next_cursor: null,
      has_more: false,
      meta,
    },
  ],
});

const aboutExampleItem = {
  items: [
    {
      item_id: exampleItem.item_id,
      phase: exampleItem.phase,
      history: exampleItem.history,
      as_of: exampleItem.last_update_at,
    },
  ],
};

export const itemsAnswer = pageOf(listedItem, aboutItems).meta({
  id: 'ItemPage',
  ...examplePage(listedItem, aboutExampleItem),
});
export const accountsAnswer = pageOf(z.union([refinedAccount, plaidObject]), aboutItems).meta({
  id: 'AccountPage',
  ...examplePage(refinedAccount, aboutExampleItem),
});
export const transactionsAnswer = pageOf(z.union([refinedTransaction, plaidObject]), aboutItems).meta({
  id: 'TransactionPage',
  ...examplePage(refinedTransaction, aboutExampleItem),
});
export const balancesAnswer = pageOf(dayBalances, aboutItems).meta({
  id: 'BalancePage',
  ...examplePage(dayBalances, aboutExampleItem),
});
export const webhooksAnswer = pageOf(webhookAnswer, z.object({})).meta({
  id: 'WebhookPage',
  ...examplePage(webhookAnswer, {}),
});
export const institutionsAnswer = pageOf(institutionAnswer, z.object({ as_of: time.nullable() })).meta({
  id: 'InstitutionPage',
  ...examplePage(institutionAnswer, { as_of: '2026-11-21T02:00:00.000Z' }),
});

export const problemAnswer = z
  .looseObject({
    type: z.string(),
    title: z.string(),
    status: z.int(),
    detail: z.string(),
    instance: z.string(),
    code: z.string(),
    request_id: z.string(),
    errors: z
      .array(z.object({ in: z.string(), pointer: z.string(), detail: z.string() }))
      .optional()
      .meta({ description: 'Each fault of the request, by JSON pointer into the part named by `in`' }),
    plaid: z
      .object({ error_type: z.string(), error_code: z.string(), request_id: z.string().nullable() })
      .optional()
      .meta({ description: "Plaid's own error" }),
  })
  .meta({
    id: 'Problem',
    description: 'RFC 9457',
    examples: [
      {
        type: '/problems/invalid_request',
        title: 'The request does not fit its schema',
        status: 400,
        detail:
          'A field, query parameter or path segment is missing, unknown, of another type or out of range.',
        instance: '/v1/users/user-42/items',
        code: 'invalid_request',
        request_id: '7a0c5a57-1d5f-4a49-9a8b-0f7f4c1b8f0e',
        errors: [
          {
            in: 'body',
            pointer: '/public_token',
            detail: 'Invalid input: expected string, received undefined',
          },
        ],
      },
    ],
  });

export const liveAnswer = z.object({ status: z.literal('up') }).meta({ examples: [{ status: 'up' }] });

export const readyAnswer = z
  .object({
    status: z.literal('ready'),
    dependencies: z.record(z.string(), z.object({ status: z.enum(['up', 'down']) })),
  })
  .meta({
    examples: [
      { status: 'ready', dependencies: { postgresql: { status: 'up' }, temporal: { status: 'up' } } },
    ],
  });
