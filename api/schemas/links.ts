import { z } from 'zod';
import { grantInput } from './grant.js';
import { exampleItem, itemFields } from './itemShape.js';
import { pattern, shown, shownOrEmpty, storable, wellFormed } from './shared.js';

export const linkTokenBody = z
  .strictObject({
    mode: z
      .enum(['create', 'update'])
      .optional()
      .meta({ description: 'Absent: update when the user has an item that can be updated, else create' }),
    item_id: wellFormed(shown(256)).optional().meta({ description: 'The item to update' }),
    account_selection: z
      .boolean()
      .optional()
      .meta({
        description:
          'Of update mode: whether the user chooses the shared accounts anew. Absent: where Plaid has told of new accounts, and where ' +
          'accounts of the item are shared no more',
      }),
  })
  // A body may be left out altogether.
  .default({})
  .meta({
    examples: [{}, { mode: 'create' }, { mode: 'update' }, { mode: 'update', account_selection: true }],
  });

const fromLink = storable(256).nullish();

/** The rest of what Link's `onSuccess` gives, by the names that its web, phone and cross-platform kits use. */
const otherMetadata = Object.fromEntries(
  [
    ...['account', 'account_id', 'accountId', 'link_session_id', 'linkSessionId', 'publicToken'],
    ...['transfer_status', 'transferStatus', 'metadata_json', 'metadataJson', 'metadataJSON'],
  ].map((name) => [name, z.unknown().optional().meta({ description: "Of Link's metadata: left aside" })]),
);

export const linkBody = z
  .strictObject({
    public_token: z
      .string()
      .regex(pattern('^[\\u0021-\\u007e]{1,512}$'), "must be the public token of Link's onSuccess")
      .meta({ description: "The public token that Link's `onSuccess` gave" }),
    main_account_id: wellFormed(shownOrEmpty(256)).nullish().meta({
      description: 'Account that pays; default: first open checking, else depository, else first account',
    }),
    allow_duplicate: z
      .boolean()
      .optional()
      .meta({
        description:
          'True: an account that an item of the user has already (a joint one, of two logins at one bank) is linked all the same. ' +
          'Nothing is refused as a duplicate, and nothing is replaced',
      }),
    connection: grantInput.optional().meta({
      description:
        "What the application is to be granted. What is left out is its default: scopes by the deployment's products, all accounts, " +
        'later ones too, the whole history, no end',
    }),
    institution_id: wellFormed(shownOrEmpty(256))
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
          "`metadata.accounts` of Link's `onSuccess`. With it and `institution_id` a duplicate is found before the exchange. " +
          'Unknown fields are left aside',
      }),
    institution: z.looseObject({}).nullish().meta({
      description: '`metadata.institution` as Link gave it, in the place of `institution_id`',
    }),
    institutionId: z.unknown().optional().meta({
      description: 'The same as `institution_id`, by another name of Link',
    }),
    metadata: z
      .looseObject({})
      .nullish()
      .meta({
        description:
          "Link's whole metadata as it is, in the place of `institution_id` and `accounts`; its fields may as well stand in the " +
          'body itself. Empty texts mean null',
      }),
    ...otherMetadata,
  })
  .meta({
    examples: [
      { public_token: 'public-sandbox-b0e2c4ee-a763-4df5-bfe9-46a46bce993d' },
      {
        public_token: 'public-sandbox-b0e2c4ee-a763-4df5-bfe9-46a46bce993d',
        connection: { scopes: ['accounts', 'balances'], lookback_days: 90, purpose: 'To show your balances' },
      },
      {
        public_token: 'public-sandbox-b0e2c4ee-a763-4df5-bfe9-46a46bce993d',
        institution_id: 'ins_109508',
        accounts: [{ name: 'Plaid Checking', mask: '0000', type: 'depository', subtype: 'checking' }],
      },
      {
        public_token: 'public-sandbox-b0e2c4ee-a763-4df5-bfe9-46a46bce993d',
        metadata: {
          institution: { name: 'First Platypus Bank', institution_id: 'ins_109508' },
          accounts: [
            {
              id: 'BxBXxLj1m4HMXBm9WZZmCWVbPjX16EHwv99vp',
              name: 'Plaid Checking',
              mask: '0000',
              type: 'depository',
              subtype: 'checking',
            },
          ],
          link_session_id: '79e772be-547d-4c9c-8b76-4ac4ed4c441a',
        },
      },
    ],
  });

export const linkedAnswer = z
  .object({
    ...itemFields,
    replaces: z
      .string()
      .optional()
      .meta({ description: 'The broken item of the same account that this one took the place of' }),
    connection_id: z.string().optional().meta({ description: 'What the application was granted' }),
    joined: z
      .literal(true)
      .optional()
      .meta({ description: 'The item was there already: the application was connected with it' }),
    warnings: z.array(z.enum(['main_account_unknown', 'accounts_dropped'])).optional(),
    dropped_accounts: z
      .array(z.string())
      .optional()
      .meta({
        description:
          'Accounts of the replaced item that the new one does not have: they end with it. With `joined`: accounts of this Link that the ' +
          'item which was joined does not have, or of which nobody can say which of several called the same is meant: they are not shared',
      }),
  })
  .meta({
    id: 'LinkedItem',
    examples: [{ ...exampleItem, connection_id: 'con_0192f0c1-7c1e-7a43-9d0e-3f6c2b5a8e11' }],
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
