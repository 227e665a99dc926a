import { plaidTime, staleReason, syntheticUpdate } from '../../src/domain/staleness.js';
import { readWebhook } from '../../src/domain/webhook.js';

describe('an Item at its user’s login', () => {
  const fresh = { waiting: null, old: false, plaid: 'covered' as const };

  it('is fresh when Plaid says nothing new, or nothing to compare with', () => {
    expect(staleReason(fresh)).toBeNull();
    expect(staleReason({ ...fresh, plaid: 'silent' })).toBeNull();
    expect(staleReason({ ...fresh, plaid: 'first' })).toBeNull();
  });

  it('is stale by age, whatever Plaid says, by Plaid’s newer read, and while an update waits', () => {
    expect(staleReason({ ...fresh, old: true, plaid: 'silent' })).toBe('last_update_old');
    expect(staleReason({ ...fresh, plaid: 'newer' })).toBe('plaid_newer');
    expect(staleReason({ old: true, plaid: 'newer', waiting: 'w' })).toBe('update_waiting');
  });
});

describe('a time of Plaid’s', () => {
  it.each([null, '', 'soon', '2026-13-45T00:00:00Z'])('is none: %p', (text) => {
    expect(plaidTime(text)).toBeNull();
  });

  it.each(['2026-11-21T07:02:09Z', '2026-11-21T07:02:09.000000Z', '2026-11-21T08:02:09+01:00'])(
    'is the same however it is written: %s',
    (text) => {
      expect(plaidTime(text)).toBe('2026-11-21T07:02:09.000Z');
    },
  );
});

it('the synthetic webhook reads as Plaid’s own, in its byte form', () => {
  const body = syntheticUpdate({ itemId: 'It"em', history: 'initial', environment: 'sandbox' });
  expect(readWebhook(body)).toEqual({
    webhook_type: 'TRANSACTIONS',
    webhook_code: 'SYNC_UPDATES_AVAILABLE',
    item_id: 'It"em',
    kind: 'update',
    removed_ids: [],
    ignored: null,
  });
  expect(JSON.parse(body)).toMatchObject({
    initial_update_complete: true,
    historical_update_complete: false,
    environment: 'sandbox',
  });
  const keys = Object.keys(JSON.parse(body) as object);
  expect(keys).toEqual([...keys].sort());
  expect(body).toBe(JSON.stringify(JSON.parse(body), null, 2));
});
