import { z } from 'zod';
import { anyId, examplePage, id, pageOf, paging, pattern, shown, time, wellFormed } from './shared.js';

export const applicationParams = id('Id of the application', anyId);

export const keyParams = id('Id of the key (not the key itself)', anyId);

const access = z.enum(['connected', 'all']).meta({
  description:
    '`connected`: it sees the items that it is connected with, as far as each connection grants; `all`: every user and item',
});

const page = z
  .string()
  .regex(pattern('^https://[^\\u0000-\\u0020\\u007f]{1,2000}$'), 'must be an https address')
  .refine((value) => URL.canParse(value), 'must be an https address');

const logo = z
  .string()
  .max(100_000)
  .regex(
    pattern(
      '^(https://[^\\u0000-\\u0020\\u007f]{1,2000}|data:image/(png|jpeg|webp);base64,[A-Za-z0-9+/]+={0,2})$',
    ),
    'must be an https address or an image as a data: URL',
  );

/** What the user's page shows of an application. */
const face = {
  display_name: wellFormed(shown(200)).nullable().optional(),
  company: wellFormed(shown(200)).nullable().optional(),
  url: wellFormed(page).nullable().optional(),
  logo_url: wellFormed(logo).nullable().optional().meta({
    description: 'A PNG, JPEG or WebP as a data: URL, or an https address',
  }),
  reason_for_access: wellFormed(shown(1_000)).nullable().optional().meta({
    description: 'Why it asks for the data, in words for the user',
  }),
};

const exampleFace = {
  display_name: 'Acme Pay',
  company: 'Acme Inc.',
  url: 'https://pay.acme.example',
  logo_url: null,
  reason_for_access: 'To pay your bills from the account that you choose.',
};

export const applicationBody = z
  .strictObject({ name: wellFormed(shown(200)), access: access.default('connected'), ...face })
  .meta({ examples: [{ name: 'payments', ...exampleFace }] });

export const applicationChange = z
  .strictObject({ name: wellFormed(shown(200)).optional(), access: access.optional(), ...face })
  .meta({
    description: 'What is named is changed; null takes it away',
    examples: [{ reason_for_access: exampleFace.reason_for_access }],
  });

export const applicationsQuery = z.strictObject(paging);

const scope = z.enum(['read', 'write', 'numbers', 'consent', 'admin']);

export const keyBody = z
  .strictObject({
    scopes: z.array(scope).min(1).max(5).meta({
      description:
        '`consent`: the connections of every application, and no bank data. `admin` implies `read`, `write` and `consent`, never `numbers`',
    }),
  })
  .meta({ examples: [{ scopes: ['read', 'write'] }] });

export const applicationAnswer = z
  .object({
    application_id: z.string(),
    name: z.string(),
    access,
    display_name: z.string().nullable(),
    company: z.string().nullable(),
    url: z.string().nullable(),
    logo_url: z.string().nullable(),
    reason_for_access: z.string().nullable(),
    created_at: time,
  })
  .meta({
    id: 'Application',
    examples: [
      {
        application_id: anyId,
        name: 'payments',
        access: 'connected',
        ...exampleFace,
        created_at: '2026-11-21T07:02:09.000Z',
      },
    ],
  });

const nothing = z.object({});

export const applicationsAnswer = pageOf(applicationAnswer, nothing).meta({
  id: 'ApplicationPage',
  ...examplePage(applicationAnswer, {}),
});

const key = z
  .object({
    key_id: z.string(),
    scopes: z.array(scope),
    created_at: time,
    last_used_at: time.nullable().meta({ description: 'To the minute' }),
    revoked_at: time.nullable(),
  })
  .meta({
    id: 'Key',
    examples: [
      {
        key_id: anyId,
        scopes: ['read', 'write'],
        created_at: '2026-11-21T07:02:09.000Z',
        last_used_at: '2026-11-21T09:30:00.000Z',
        revoked_at: null,
      },
    ],
  });

export const keysAnswer = pageOf(key, nothing).meta({ id: 'KeyPage', ...examplePage(key, {}) });

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
