import { z } from 'zod';
import {
  examplePage,
  pageOf,
  paging,
  pattern,
  plaidObject,
  plaidRequestId,
  shown,
  time,
  wellFormed,
} from './shared.js';

export const institutionParams = z.strictObject({
  institutionId: shown(256).meta({
    description: "Plaid's id of the institution, case-sensitive",
    examples: ['ins_109508'],
  }),
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

export const institutionsAnswer = pageOf(institutionAnswer, z.object({ as_of: time.nullable() })).meta({
  id: 'InstitutionPage',
  ...examplePage(institutionAnswer, { as_of: '2026-11-21T02:00:00.000Z' }),
});
