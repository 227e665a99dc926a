import type { Failure } from './failures.js';
import type { PlaidErrorName } from './plaidErrors.js';
import { meaningOf } from './plaidErrors.js';
import type { AlertStore } from './ports/alerts.js';

export type Alert = Parameters<AlertStore['raise']>[0];

/** A code that our table lacks is taken for an outage, which may be wrong: one alert a code. */
export const alertsOfCode = ({ error_type, error_code }: PlaidErrorName): Alert[] =>
  meaningOf(error_code) !== null
    ? []
    : [{ kind: 'plaid_code_unknown', key: error_code, item_id: null, detail: { error_type, error_code } }];

/**
 * Alerts of what operators alone can mend. A token that Plaid does not take says nothing of its Item (the keys are those of another
 * environment or client, say), and one that does not open: one alert an Item. Wrong keys, rights and quotas: one alert a code, and one
 * for answers without a code (`no_code`: of a base URL that redirects, say). Null: the refusal is of no Item that is known.
 */
export function alertsOf(itemId: string | null, { type, upstream, retryable }: Failure): Alert[] {
  const { error_type, error_code } = upstream ?? { error_type: null, error_code: null };
  const detail = { error_type, error_code };
  const alerts: Alert[] = upstream === undefined ? [] : alertsOfCode(upstream);
  if (type === 'TOKEN_REFUSED' && itemId !== null) {
    alerts.push({ kind: 'token_refused', key: itemId, item_id: itemId, detail });
  }
  if (type === 'SECRET_UNREADABLE' && itemId !== null) {
    alerts.push({ kind: 'token_unreadable', key: itemId, item_id: itemId, detail: {} });
  }
  // Without a code it may be our own database that lacks a right, which is retryable.
  if (type === 'MISCONFIGURED' && (error_code !== null || !retryable)) {
    alerts.push({ kind: 'plaid_misconfigured', key: error_code ?? 'no_code', item_id: null, detail });
  }
  return alerts;
}
