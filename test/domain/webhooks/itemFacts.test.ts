import { itemFactOf } from '../../../domain/webhooks/itemFacts.js';

const factOf = (webhook_type: string, webhook_code: string, more: Record<string, unknown> = {}) =>
  itemFactOf(JSON.stringify({ webhook_type, webhook_code, item_id: 'ItemA', ...more }));

describe('what a webhook says of its Item', () => {
  it('is whose numbers must not be used any more, new or updated', () => {
    const fact = factOf('AUTH', 'DEFAULT_UPDATE', {
      account_ids_with_new_auth: ['new', '', 7],
      account_ids_with_updated_auth: { updated: ['ACCOUNT_NUMBER'], other: ['ROUTING_NUMBER'] },
    });
    expect(fact).toEqual({
      kind: 'numbersChanged',
      accountIds: ['new', 'updated', 'other'],
      unnamed: true,
    });
    const whole = { account_ids_with_new_auth: ['new'], account_ids_with_updated_auth: null };
    expect(factOf('AUTH', 'DEFAULT_UPDATE', whole)).toMatchObject({ accountIds: ['new'], unnamed: false });
    // Which other numbers Plaid asks for is no word about those that there are.
    expect(factOf('AUTH', 'PRODUCT_PERMISSIONS_REQUIRED')).toMatchObject({ accountIds: [], unnamed: false });
  });

  it('is of no account under an id that cannot be stored', () => {
    for (const account_id of ['a\ud800', 'a\u0000', '', 'x'.repeat(513), 7, null]) {
      expect(factOf('ITEM', 'USER_ACCOUNT_REVOKED', { account_id })).toEqual({
        kind: 'accountRevoked',
        accountId: null,
      });
      expect(factOf('AUTH', 'VERIFICATION_EXPIRED', { account_id })).toMatchObject({ accountId: null });
      expect(factOf('AUTH', 'DEFAULT_UPDATE', { account_ids_with_new_auth: [account_id, 'good'] })).toEqual({
        kind: 'numbersChanged',
        accountIds: ['good'],
        unnamed: typeof account_id !== 'string' || account_id === '',
      });
    }
  });

  it('is when it needs its user, each code by its own field', () => {
    const at = '2027-01-02T03:04:05.000Z';
    const [expiration, disconnect] = [{ consent_expiration_time: at }, { disconnect_time: at }];
    expect(factOf('ITEM', 'PENDING_EXPIRATION', expiration)).toEqual({ kind: 'consentExpires', at });
    expect(factOf('ITEM', 'PENDING_DISCONNECT', disconnect)).toEqual({ kind: 'disconnects', at });
    // Without a time, or with one that PostgreSQL does not take (year 0), it is said all the same.
    const untimed = { kind: 'disconnects', at: null };
    expect(factOf('ITEM', 'PENDING_EXPIRATION', disconnect)).toEqual({ kind: 'consentExpires', at: null });
    for (const disconnect_time of ['soon', null, undefined, '0000-01-01T00:00:00Z'])
      expect(factOf('ITEM', 'PENDING_DISCONNECT', { disconnect_time })).toEqual(untimed);
  });

  it.each([
    ['AUTOMATICALLY_VERIFIED', {}, 'verified'],
    ['MANUALLY_VERIFIED', {}, 'verified'],
    ['VERIFICATION_EXPIRED', {}, 'expired'],
    ['VERIFICATION_FAILED', {}, 'failed'],
    ['SMS_MICRODEPOSITS_VERIFICATION', { status: 'MANUALLY_VERIFIED' }, 'verified'],
    ['SMS_MICRODEPOSITS_VERIFICATION', { status: 'VERIFICATION_FAILED' }, 'failed'],
  ])('is how the verification of an account has ended: %s %j', (code, more, verification) => {
    expect(factOf('AUTH', code, { account_id: 'a', ...more })).toEqual({
      kind: 'verificationEnded',
      accountId: 'a',
      verification,
    });
    expect(factOf('AUTH', code, { ...more, account_id: '' })).toMatchObject({
      accountId: null,
      verification,
    });
  });

  it('is nothing when it is no such webhook', () => {
    expect(factOf('ITEM', 'USER_ACCOUNT_REVOKED', { account_id: 'a' })).toEqual({
      kind: 'accountRevoked',
      accountId: 'a',
    });
    expect(factOf('ITEM', 'A_CODE_OF_TOMORROW')).toBeNull();
    for (const body of ['', '[]', 'null', '"ITEM/ERROR"']) expect(itemFactOf(body)).toBeNull();
  });
});
