import { staleReason, syntheticUpdate } from '../../../domain/item/staleness.js';
import { readWebhook } from '../../../domain/webhooks/webhook.js';

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
