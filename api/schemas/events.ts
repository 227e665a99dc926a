import { z } from 'zod';
import { initiators } from '../../domain/exchange/connection.js';
import { eventTypes } from '../../domain/exchange/event.js';
import type { EventType } from '../../domain/exchange/event.js';
import { exampleItem } from './itemShape.js';
import { digits, limit, longestCursor, time, words } from './shared.js';

/** What each type of event says: the schemas of `data`, and the bodies made of them. */

const item_id = z.string().min(1);
const user_id = z.string().min(1);
const ofItem = { item_id, user_id };
const aboutConnection = {
  connection_id: z.string().min(1),
  application_id: z.string().min(1).meta({ description: 'Whose connection it is' }),
  ...ofItem,
};
const ofConnection = {
  ...aboutConnection,
  initiator: z.enum(initiators).meta({ description: 'Who was the cause' }),
};
const ofEndpoint = { endpoint_id: z.string().min(1) };
const count = z.int().min(0).optional();
const sequence = z.int().min(1);

interface Described {
  description: string;
  data: z.ZodObject;
  example: Record<string, unknown>;
}

const exampleOfItem = { item_id: exampleItem.item_id, user_id: 'user-42' };
const exampleAboutConnection = {
  connection_id: 'con_0192f0c1-7c1e-7a43-9d0e-3f6c2b5a8e11',
  application_id: 'app_0192f0c1-7c1e-7a43-9d0e-3f6c2b5a8e12',
  ...exampleOfItem,
};
const exampleOfConnection = { ...exampleAboutConnection, initiator: 'user' };
const exampleOfEndpoint = { endpoint_id: 'end_0192f0c1-7c1e-7a43-9d0e-3f6c2b5a8e13' };

const ofItemAlone = (description: string): Described => ({
  description,
  data: z.object(ofItem),
  example: exampleOfItem,
});
const ofConnectionAlone = (description: string): Described => ({
  description,
  data: z.object(ofConnection),
  example: exampleOfConnection,
});

/** By type. The `data` are whole: what is not named here is in no event. */
export const describedEvents: Readonly<Record<EventType, Described>> = {
  'item.linked': ofItemAlone('An item was linked'),
  'item.ready': {
    description:
      'The first accounts and transactions of an item can be read; also told to an application that is connected with such an item. ' +
      '`history` is `none` where the login has no transactions: its accounts can be read; should it get some, that is told as well',
    data: z.object({ ...ofItem, history: z.enum(['none', 'initial', 'complete']) }),
    example: { ...exampleOfItem, history: 'initial' },
  },
  'item.history_complete': ofItemAlone('All the history that Plaid gives of an item can be read'),
  'item.updated': {
    description:
      "Records of an item have changed: the changes from `from_sequence` to `to_sequence` of its feed. The counts are told to whom sees all of the item's accounts and transactions.",
    data: z.object({
      ...ofItem,
      added: count.meta({ description: 'Transactions' }),
      modified: count.meta({ description: 'Transactions' }),
      removed: count.meta({ description: 'Transactions' }),
      accounts: count.meta({ description: 'Accounts' }),
      from_sequence: sequence,
      to_sequence: sequence,
    }),
    example: {
      ...exampleOfItem,
      added: 2,
      modified: 1,
      removed: 0,
      accounts: 1,
      from_sequence: 412,
      to_sequence: 415,
    },
  },
  'item.needs_relink': {
    description: 'An item needs its user: nothing new comes until it is repaired',
    data: z.object({ ...ofItem, error_type: z.string().min(1), error_code: z.string().min(1) }),
    example: { ...exampleOfItem, error_type: 'ITEM_ERROR', error_code: 'ITEM_LOGIN_REQUIRED' },
  },
  'item.repaired': ofItemAlone('An item that needed its user works again'),
  'item.consent_expiring': {
    description: "The bank's consent for an item ends at `expires_at`; told once of each end",
    data: z.object({ ...ofItem, expires_at: time }),
    example: { ...exampleOfItem, expires_at: '2026-12-01T00:00:00.000Z' },
  },
  'item.new_accounts': ofItemAlone('The bank has accounts that the user may share in update mode'),
  'item.removed': ofItemAlone('An item was removed: nothing more comes'),
  'connection.created': ofConnectionAlone('An application was connected with an item'),
  'connection.updated': ofConnectionAlone(
    'What a connection grants was changed. What it no longer grants must be dropped.',
  ),
  'connection.renewed': ofConnectionAlone('A connection ends at another time'),
  'connection.expiring': {
    description: 'A connection ends soon: told 30, 7 and 1 days before',
    data: z.object({ ...aboutConnection, expires_at: time, days: z.int().min(0) }),
    example: { ...exampleAboutConnection, expires_at: '2026-12-01T00:00:00.000Z', days: 7 },
  },
  'connection.expired': ofConnectionAlone('The time of a connection is over'),
  'connection.suspended': ofConnectionAlone('The bank revoked the item: nothing can be read for now'),
  'connection.resumed': ofConnectionAlone('A connection that was suspended can be read through again'),
  'connection.revoked': ofConnectionAlone('A connection was ended for good'),
  'user.erased': {
    description: 'The data of a user were erased',
    data: z.object({ erasure_id: z.string().min(1), user_hash: z.string().min(1) }),
    example: {
      erasure_id: 'era_0192f0c1-7c1e-7a43-9d0e-3f6c2b5a8e14',
      user_hash: '2c26b46b68ffc68ff99b453c1d30413413422d706483bfa0f98a5e886266e7ae',
    },
  },
  'endpoint.ping': {
    description: 'Asked for by a client, to see that an endpoint is reached',
    data: z.object(ofEndpoint),
    example: exampleOfEndpoint,
  },
  'endpoint.failing': {
    description: 'An endpoint does not take its events',
    data: z.object({ ...ofEndpoint, reason: z.string().nullable().optional() }),
    example: { ...exampleOfEndpoint, reason: null },
  },
  'endpoint.disabled': {
    description: 'An endpoint was switched off',
    data: z.object({ ...ofEndpoint, reason: z.string().nullable().optional() }),
    example: { ...exampleOfEndpoint, reason: null },
  },
  'endpoint.recovered': {
    description: 'An endpoint takes its events again',
    data: z.object(ofEndpoint),
    example: exampleOfEndpoint,
  },
};

const bodyOf = (type: EventType) => {
  const { description, data } = describedEvents[type];
  return z
    .object({
      specversion: z.literal('1.0'),
      id: z.string().min(1),
      type: z.literal(type),
      source: z.string().min(1),
      time,
      subject: z.string().min(1),
      data,
    })
    .meta({ title: type, description });
};

/** The JSON Schema of the whole body of an event of this type. */
export const eventSchema = (type: EventType): Record<string, unknown> => ({
  $id: `urn:sluice:schema:${type}`,
  ...z.toJSONSchema(bodyOf(type)),
});

/** A body of this type, as an example. */
export const exampleEvent = (type: EventType) => ({
  specversion: '1.0' as const,
  id: 'evt_0192f0c1-7c1e-7a43-9d0e-3f6c2b5a8e15',
  type,
  source: type.startsWith('endpoint.')
    ? `/sluice/endpoints/${exampleOfEndpoint.endpoint_id}`
    : type === 'user.erased'
      ? '/sluice'
      : `/sluice/items/${exampleItem.item_id}`,
  time: '2026-11-21T07:02:09.000Z',
  subject: type.startsWith('connection.')
    ? exampleOfConnection.connection_id
    : type.startsWith('endpoint.')
      ? exampleOfEndpoint.endpoint_id
      : type === 'user.erased'
        ? 'evt_0192f0c1-7c1e-7a43-9d0e-3f6c2b5a8e15'
        : exampleItem.item_id,
  data: describedEvents[type].example,
});

const eventAnswer = z
  .object({
    specversion: z.literal('1.0'),
    id: z.string().meta({ description: 'The same in every delivery and in every answer' }),
    type: z.enum(eventTypes),
    source: z.string(),
    time,
    subject: z.string().meta({ description: 'The connection, endpoint, item or user that it is about' }),
    data: z.looseObject({}).meta({ description: 'By type: see `GET /v1/event-types`' }),
  })
  .meta({
    id: 'Event',
    description: 'A CloudEvents 1.0 event: ids, states and counts, never bank data',
    examples: [exampleEvent('item.updated')],
  });

export const eventsQuery = z.strictObject({
  after: z.string().min(1).max(longestCursor).optional().meta({
    description: '`next` of the answer before; without it the oldest events that are kept come first',
  }),
  types: words('Events of these types only, separated by commas; without it all', eventTypes, [
    ...eventTypes,
  ]),
  wait: z
    .preprocess(digits, z.int().min(0).max(25))
    .default(0)
    .meta({ description: 'Seconds to wait for an event where there is none yet', 'x-default': 0 }),
  limit,
});

export const eventsAnswer = z
  .object({
    data: z.array(eventAnswer),
    next: z.string().meta({ description: 'Where to go on, also where there was no event' }),
    has_more: z.boolean().meta({
      description: 'Ask again at once; a page may be empty and have more behind it',
    }),
  })
  .meta({
    id: 'EventPage',
    examples: [{ data: [exampleEvent('item.updated')], next: 'WyI4MTUiLCIwIiwiMTc2…', has_more: false }],
  });

export const eventTypesAnswer = z
  .object({
    data: z.array(
      z.object({
        type: z.enum(eventTypes),
        description: z.string(),
        schema: z.looseObject({}).meta({ description: 'JSON Schema (2020-12) of the whole event' }),
      }),
    ),
  })
  .meta({
    id: 'EventTypes',
    examples: [
      {
        data: [
          {
            type: 'item.linked',
            description: describedEvents['item.linked'].description,
            schema: eventSchema('item.linked'),
          },
        ],
      },
    ],
  });
