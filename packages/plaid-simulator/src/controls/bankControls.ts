import type { FastifyInstance } from 'fastify';
import { z } from 'zod';
import { durationMs, instant, LAST_INSTANT_MS } from '../calendar.js';
import {
  changeNumbers,
  changeOwners,
  closeAccounts,
  modifyAccounts,
  openAccounts,
  withdrawAccounts,
} from '../item/bankAccounts.js';
import { setConsent } from '../item/consent.js';
import type { BankAnswer } from '../item/item.js';
import { revokeItem, runUpdate, selectAccounts, sendWebhook } from '../item/lifecycle.js';
import { endVerification, sendMicrodeposit } from '../item/microdeposits.js';
import type { World } from '../world.js';
import { ControlError } from './control.js';
import { itemControl } from './itemControl.js';

const balances = z.strictObject({
  available: z.number().nullish(),
  current: z.number().nullish(),
  limit: z.number().nullish(),
  iso_currency_code: z.string().nullish(),
  unofficial_currency_code: z.string().nullish(),
});

const SUBTYPES = {
  depository: ['checking', 'savings', 'money market', 'cd', 'cash management'],
  credit: ['credit card', 'paypal'],
  loan: ['student', 'mortgage', 'auto'],
  investment: ['brokerage', '401k', 'ira'],
} as const;
const TYPES = Object.keys(SUBTYPES) as (keyof typeof SUBTYPES)[];

const newAccount = z
  .strictObject({
    name: z.string().min(1),
    official_name: z.string().nullish(),
    mask: z
      .string()
      .regex(/^[0-9A-Za-z]{2,4}$/)
      .optional(),
    type: z.enum(TYPES).default('depository'),
    subtype: z
      .enum(Object.values(SUBTYPES).flat() as [(typeof SUBTYPES)[keyof typeof SUBTYPES][number]])
      .optional(),
    balances: balances.optional(),
  })
  .transform((account) => ({ ...account, subtype: account.subtype ?? SUBTYPES[account.type][0] }))
  .refine(
    ({ type, subtype }) => (SUBTYPES[type] as readonly string[]).includes(subtype),
    'subtype is none of this type',
  );

/** Banks where a webhook reports the loss of one account; at others the account only looks closed. */
const REPORTS_ACCOUNTS: readonly string[] = ['ins_56', 'ins_13', 'ins_127287'];

const ANSWERS: Record<number, BankAnswer> = { 200: 'ok', 401: 'unauthorized', 503: 'down' };

const verificationEnd = z.enum(['automatically_verified', 'verification_expired']);
const newValue = z.union([z.boolean(), z.string().regex(/^\d{4,17}$/)]);
const contact = { data: z.string(), primary: z.boolean().default(true) };

/** `/_sim/items/{id}/...`: what happens at the bank and what the user does there, for which Plaid's API has no call. */
export function bankControls(app: FastifyInstance, world: World): void {
  const control = itemControl(app, world);

  control(
    'accounts',
    z.strictObject({
      open: z.array(newAccount).optional(),
      close: z.array(z.string()).optional(),
      modify: z
        .array(
          z.strictObject({
            account_id: z.string(),
            balances: balances.optional(),
            name: z.string().optional(),
            official_name: z.string().nullish(),
          }),
        )
        .optional(),
      notify: z.boolean().optional(),
    }),
    (item, { open, close, modify, notify }) => {
      modifyAccounts(world, item, modify ?? []);
      closeAccounts(world, item, close ?? []);
      const opened = openAccounts(world, item, open ?? []);
      if (notify) runUpdate(world, item);
      return {
        opened,
        closed: close ?? [],
        modified: (modify ?? []).map(({ account_id }) => account_id),
      };
    },
  );

  control('selection', z.strictObject({ account_ids: z.array(z.string()).min(1) }), (item, body) => {
    selectAccounts(world, item, body.account_ids);
    return { account_ids: item.openAccounts.map(({ account }) => account.account_id) };
  });

  control(
    'numbers',
    z.strictObject({
      account_ids: z.array(z.string()).min(1).optional(),
      account: newValue.default(true),
      routing: newValue.default(false),
    }),
    (item, { account_ids, account, routing }) => ({
      account_ids: changeNumbers(world, item, { ids: account_ids, account, routing }),
    }),
  );

  control(
    'identity',
    z.strictObject({
      account_ids: z.array(z.string()).min(1).optional(),
      names: z.array(z.string()).min(1).optional(),
      emails: z
        .array(
          z.strictObject({ ...contact, type: z.enum(['primary', 'secondary', 'other']).default('primary') }),
        )
        .optional(),
      phone_numbers: z
        .array(
          z.strictObject({
            ...contact,
            type: z.enum(['home', 'work', 'office', 'mobile', 'mobile1', 'other']).default('mobile'),
          }),
        )
        .optional(),
      addresses: z
        .array(
          z.strictObject({
            primary: z.boolean().default(true),
            data: z.strictObject({
              city: z.string(),
              region: z.string().nullable(),
              street: z.string(),
              postal_code: z.string().nullable(),
              country: z.string().nullable(),
            }),
          }),
        )
        .optional(),
    }),
    (item, { account_ids, ...change }) => ({ account_ids: changeOwners(world, item, account_ids, change) }),
  );

  control(
    'verification',
    z.union([
      z.strictObject({ account_id: z.string(), status: verificationEnd }),
      z.strictObject({
        account_id: z.string(),
        status: z.literal('pending_automatic_verification'),
        outcome: verificationEnd.default('automatically_verified'),
      }),
    ]),
    (item, body) => {
      if ('outcome' in body) sendMicrodeposit(world, item, body.account_id, body.outcome);
      else endVerification(world, item, body.account_id, body.status);
      return { account_id: body.account_id, verification_status: body.status };
    },
  );

  control(
    'consent',
    z
      .strictObject({
        expires_at: z.iso.datetime({ offset: true }).nullish(),
        expires_in: z
          .string()
          .refine((text) => durationMs(text) !== null, 'not an ISO 8601 duration such as P8D')
          .optional(),
        reason: z.enum(['INSTITUTION_TOKEN_EXPIRATION', 'INSTITUTION_MIGRATION']).optional(),
      })
      .refine(
        ({ expires_at, expires_in }) => (expires_at === undefined) !== (expires_in === undefined),
        'give either expires_at or expires_in',
      ),
    (item, { expires_at, expires_in, reason = 'INSTITUTION_TOKEN_EXPIRATION' }) => {
      const at =
        expires_in === undefined
          ? expires_at && Date.parse(expires_at)
          : world.clock.now() + (durationMs(expires_in) ?? 0);
      if (typeof at === 'number' && at > LAST_INSTANT_MS)
        throw new ControlError(400, 'expires_in: later than the year 9999');
      setConsent(world, item, typeof at === 'number' ? { expiresAt: at, reason } : null);
      const { consent } = item.facts;
      return { expires_at: consent && instant(consent.expiresAt), reason: consent?.reason ?? null };
    },
  );

  control(
    'revoke',
    z.strictObject({ account_id: z.string().optional(), at: z.enum(['bank', 'portal']).optional() }),
    (item, { account_id, at }) => {
      if (account_id === undefined) {
        revokeItem(world, item, { by: at === 'portal' ? 'END_USER' : 'DATA_PROVIDER' });
        return { item_id: item.id };
      }
      const open = item.openAccounts.some(({ account }) => account.account_id === account_id);
      if (!open) throw new ControlError(400, `the item has no open account ${account_id}`);
      withdrawAccounts(world, item, [account_id]);
      if (REPORTS_ACCOUNTS.includes(item.bankId)) {
        sendWebhook(world, item, 'ITEM', 'USER_ACCOUNT_REVOKED', { account_id });
      }
      return { item_id: item.id, account_id };
    },
  );

  control(
    'bank',
    z.strictObject({
      answer: z.union([z.literal(200), z.literal(401), z.literal(503)]),
      notify: z.boolean().optional(),
    }),
    (item, { answer, notify }) => {
      const connected = world.connections.connected(item);
      for (const member of connected) {
        member.facts.bankAnswer = ANSWERS[answer] ?? 'ok';
        world.keeper.item(member);
      }
      if (notify) runUpdate(world, item);
      return { item_ids: connected.map(({ id }) => id), answer };
    },
  );
}
