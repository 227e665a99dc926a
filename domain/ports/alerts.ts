export type AlertKind =
  | 'link_outcome_unknown'
  /** A link, or the removal of an Item that never became the user's, has failed for ten minutes, and goes on being tried. */
  | 'link_stuck'
  | 'row_parked'
  | 'record_parked'
  | 'event_parked'
  /** Plaid does not take an Item's access token. */
  | 'token_refused'
  /** What is stored of an Item's access token does not open: changed bytes, or a key that is missing. */
  | 'token_unreadable'
  /** What is stored of an endpoint's signing secret does not open: of the secret before it, or of the one that signs. */
  | 'endpoint_unreadable'
  /** Plaid refuses to remove an Item, for a reason that waiting does not mend. */
  | 'removal_refused'
  /** Something in Plaid's answer about an Item's account numbers cannot be read: an account may be without them. */
  | 'numbers_unreadable'
  /** Plaid refuses what only an operator can mend: keys, rights, quotas. One a code. */
  | 'plaid_misconfigured'
  /** Plaid has no transactions of an Item to give, or gives none to us. */
  | 'product_unavailable'
  /** Plaid uses an error code that our table lacks; it is taken for an outage. */
  | 'plaid_code_unknown'
  /** Plaid does not take the cursor that an Item's last update had ended at: everything was read from the start. */
  | 'cursor_lost'
  /** An Item's update was given up, and is tried again with long pauses. */
  | 'update_stuck'
  /** Temporal refuses a signal, or the start of a link, for what it is. */
  | 'signal_refused'
  /** Plaid did not take our address for an Item's webhooks, and sends them elsewhere. */
  | 'webhook_address'
  /**
   * A page of Plaid's list of institutions is refused, or has failed for ten minutes; those behind it are read. Or no walk of a day had as
   * many as Plaid counts.
   */
  | 'institutions_stuck'
  /** The erasure of a user has been going on for a day. */
  | 'erasure_late'
  /** Nobody is connected with an Item any more, whose removal waits for the end of the user's float. */
  | 'removal_waits_for_float'
  /** Webhooks come for an Item that a database which was set back does not know: it may be one of those that were linked meanwhile. */
  | 'item_unknown'
  /** A webhook was refused for want of a look-up of its key. */
  | 'webhook_keys_busy';

export interface AlertStore {
  /** `key` makes the same alert one row. `detail` holds ids and codes only. */
  raise(alert: {
    kind: AlertKind;
    key: string;
    item_id: string | null;
    detail: Record<string, unknown>;
  }): Promise<void>;
}
