import { z } from 'zod';
import { connectionScopes, initiators } from '../../domain/exchange/connection.js';
import { futureTime, grantFields, grantInput } from './grant.js';
import { exampleItem } from './itemShape.js';
import {
  anyId,
  examplePage,
  id,
  instant,
  pageOf,
  paging,
  pattern,
  shown,
  time,
  wellFormed,
  words,
} from './shared.js';

const exampleId = `con_${anyId}`;
const exampleApplication = `app_${anyId}`;
const exampleEnd = '2999-11-21T07:00:00.000Z';

export const connectionParams = id('Id of the connection', exampleId);

const statuses = ['active', 'suspended', 'expired', 'revoked'] as const;

export const connectionsQuery = z.strictObject({
  status: words('Connections of these only, separated by commas', statuses, [...statuses]),
  expires_before: instant('2027-01-31T00:00:00Z')
    .optional()
    .meta({ description: 'Those that end before it; what has no end is left out' }),
  ...paging,
});

export const historyQuery = z.strictObject(paging);

export const newConnectionBody = z
  .strictObject({
    application_id: z
      .string()
      .regex(pattern('^[A-Za-z0-9_-]{1,64}$'), 'must be an id as this API gave it')
      .meta({ description: 'The application that is connected' }),
    scopes: grantFields.scopes,
    account_ids: grantFields.account_ids,
    new_accounts: grantFields.new_accounts.default(false),
    lookback_days: grantFields.lookback_days.default(null),
    expires_at: grantFields.expires_at.default(null),
    purpose: grantFields.purpose.default(null),
    evidence: grantFields.evidence.default(null),
  })
  .meta({
    examples: [
      { application_id: exampleApplication, scopes: ['accounts'], account_ids: null },
      {
        application_id: exampleApplication,
        scopes: ['accounts', 'transactions'],
        account_ids: ['blgvvBlXw3cq5GMPwqB6s6q4dLKB9WcVqGDGo'],
        lookback_days: 90,
        expires_at: exampleEnd,
        purpose: 'Show what you spend',
      },
    ],
  });

export const connectionChangeBody = grantInput.meta({
  examples: [{ scopes: ['accounts'] }, { account_ids: [] }, { new_accounts: false, lookback_days: 30 }],
});

export const renewalBody = z
  .strictObject({
    expires_at: futureTime.nullable().meta({ description: 'Its end from now on; null = none' }),
  })
  .meta({ examples: [{ expires_at: exampleEnd }, { expires_at: null }] });

export const revocationBody = z
  .strictObject({
    reason: wellFormed(shown(500)).nullish().meta({ description: 'Kept in the history' }),
    initiator: z.enum(['application', 'user', 'operator']).optional().meta({
      description:
        'Who wants it; `operator` needs the scope `consent`. Absent: `operator` with that scope, else `application`',
    }),
  })
  // A body may be left out altogether.
  .default({})
  .meta({ examples: [{}, { reason: 'Closed the account', initiator: 'user' }] });

const connectionStatus = z.enum(statuses).meta({
  description:
    '`suspended`: the bank has revoked the item. `expired`: by time alone, until it is renewed. `revoked`: the end of it',
});

const grantShown = {
  scopes: z.array(z.enum(connectionScopes)).meta({ description: 'What may be read; empty = nothing' }),
  account_ids: z
    .array(z.string())
    .nullable()
    .meta({ description: 'As they were granted; null = all that were there' }),
  new_accounts: z.boolean().meta({ description: 'Accounts that come later may be read too' }),
  lookback_days: z.int().nullable().meta({ description: 'Days back from the day of a request' }),
  expires_at: time.nullable(),
  purpose: z.string().nullable(),
  evidence: z.object({ disclosure_id: z.string(), sha256: z.string(), at: time }).nullable(),
};

const exampleGrant = {
  scopes: ['accounts', 'transactions'],
  account_ids: null,
  new_accounts: true,
  lookback_days: 90,
  expires_at: exampleEnd,
  purpose: 'Show what you spend',
  evidence: null,
};

export const connectionAnswer = z
  .object({
    connection_id: z.string(),
    application: z.object({
      application_id: z.string(),
      name: z.string(),
      display_name: z.string().nullable(),
    }),
    item_id: z.string(),
    user_id: z.string(),
    status: connectionStatus,
    ...grantShown,
    created_at: time,
    last_read_at: z
      .object({
        accounts: time.nullable(),
        balances: time.nullable(),
        transactions: time.nullable(),
        numbers: time.nullable(),
      })
      .meta({ description: 'When it read each last, to the minute' }),
    revoked: z.object({ at: time, reason: z.string().nullable(), initiator: z.enum(initiators) }).nullable(),
  })
  .meta({
    id: 'Connection',
    examples: [
      {
        connection_id: exampleId,
        application: { application_id: exampleApplication, name: 'budget', display_name: 'Budget Buddy' },
        item_id: exampleItem.item_id,
        user_id: 'user-42',
        status: 'active',
        ...exampleGrant,
        created_at: '2026-11-21T07:02:09.000Z',
        last_read_at: {
          accounts: '2026-11-22T08:00:00.000Z',
          balances: null,
          transactions: '2026-11-22T08:00:00.000Z',
          numbers: null,
        },
        revoked: null,
      },
    ],
  });

export const connectionsAnswer = pageOf(connectionAnswer, z.object({})).meta({
  id: 'ConnectionPage',
  ...examplePage(connectionAnswer, {}),
});

const connectionEntry = z
  .object({
    position: z.int().min(1).meta({ description: 'From 1 without gaps' }),
    at: time,
    action: z.enum(['created', 'updated', 'renewed', 'suspended', 'resumed', 'expired', 'revoked']),
    initiator: z.enum(initiators),
    application_id: z
      .string()
      .nullable()
      .meta({ description: 'The application whose key asked; null = nobody’s did' }),
    key_id: z
      .string()
      .nullable()
      .meta({ description: 'That key; null also where it is another application’s' }),
    reason: z.string().nullable(),
    grant: z.object(grantShown).meta({ description: 'What the connection grants from then on' }),
  })
  .meta({
    id: 'ConnectionEntry',
    examples: [
      {
        position: 1,
        at: '2026-11-21T07:02:09.000Z',
        action: 'created',
        initiator: 'application',
        application_id: exampleApplication,
        key_id: `key_${anyId}`,
        reason: null,
        grant: exampleGrant,
      },
    ],
  });

export const connectionHistoryAnswer = pageOf(connectionEntry, z.object({})).meta({
  id: 'ConnectionHistory',
  ...examplePage(connectionEntry, {}),
});

export const revokedAnswer = z
  .object({ connection_ids: z.array(z.string()).meta({ description: 'Those that ended with this request' }) })
  .meta({ id: 'RevokedConnections', examples: [{ connection_ids: [exampleId] }] });
