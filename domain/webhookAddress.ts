import { Failure } from './failures.js';
import type { PlaidItemView } from './plaid.js';
import type { AlertStore } from './ports/alerts.js';
import type { PlaidPort } from './ports/plaid.js';

/**
 * Where Plaid sends an Item's webhooks elsewhere than to us (the service has moved, say), it is given our address. That this fails keeps
 * nobody from anything, since the Item is polled: an alert is raised, once an Item, and the next answer of `/item/get` is
 * another occasion. Never rejects for Plaid's sake; `kept`: nothing was to be done.
 */
export async function keepWebhookAddress(
  {
    plaid,
    alerts,
    webhookUrl,
  }: { plaid: Pick<PlaidPort, 'updateWebhook'>; alerts: AlertStore; webhookUrl: string | null },
  itemId: string,
  token: string,
  view: Pick<PlaidItemView, 'webhook'>,
): Promise<'kept' | 'changed' | Failure> {
  if (webhookUrl === null || view.webhook === webhookUrl) return 'kept';
  try {
    await plaid.updateWebhook(token, webhookUrl);
    return 'changed';
  } catch (failure) {
    if (!(failure instanceof Failure)) throw failure;
    const detail = { failure: failure.type, error_code: failure.upstream?.error_code ?? null };
    await alerts
      .raise({ kind: 'webhook_address', key: itemId, item_id: itemId, detail })
      .catch((error: unknown) => {
        // Our own database's, and no word about the Item: the next occasion raises it.
        if (!(error instanceof Failure)) throw error;
      });
    return failure;
  }
}

/** `/item/get`; where it names another address for webhooks than ours, Plaid is given ours. */
export async function askItem(
  deps: {
    plaid: Pick<PlaidPort, 'getItem' | 'updateWebhook'>;
    alerts: AlertStore;
    webhookUrl: string | null;
  },
  itemId: string,
  token: string,
): Promise<PlaidItemView> {
  const view = await deps.plaid.getItem(token);
  await keepWebhookAddress(deps, itemId, token, view);
  return view;
}
