import { z } from 'zod';
import { time } from './shared.js';

const local = new Set(['localhost', '127.0.0.1', '[::1]']);

function isReturn(text: string): boolean {
  if (!URL.canParse(text)) return false;
  const { protocol, hostname, username, password } = new URL(text);
  if (username !== '' || password !== '') return false;
  return protocol === 'https:' || (protocol === 'http:' && local.has(hostname));
}

function isLocale(text: string): boolean {
  try {
    return Intl.getCanonicalLocales(text).length === 1;
  } catch {
    return false;
  }
}

export const portalSessionBody = z
  .strictObject({
    return_url: z
      .string()
      .max(2_000)
      .refine(isReturn, 'must be an https address, or an http one of localhost, without credentials')
      .nullish()
      .meta({ description: 'Where the page has a link back to', format: 'uri' }),
    locale: z
      .string()
      .max(35)
      .refine(isLocale, 'must be a language tag such as en-GB')
      .nullish()
      .meta({ description: 'How dates are written; the words are English' }),
  })
  // A body may be left out altogether.
  .default({})
  .meta({ examples: [{}, { return_url: 'https://app.example/settings', locale: 'en-GB' }] });

export const portalSessionAnswer = z
  .object({
    url: z.string().meta({ description: 'For this user alone: who has it may act for them until it ends' }),
    expires_at: time,
  })
  .meta({
    id: 'PortalSession',
    examples: [
      {
        url: 'https://banking.example/portal/qZ7bq0Y5nq8mJX2o0c4XG1l6v0rU3v9wE5tY8kB2dNs',
        expires_at: '2026-11-21T07:17:09.000Z',
      },
    ],
  });
