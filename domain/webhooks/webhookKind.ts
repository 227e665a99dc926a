/**
 * What a webhook's body means to an Item. Bodies carry no event id and no time, and two true ones may be equal
 * byte for byte, so a webhook never means "apply this" but "read this Item again".
 */
export type WebhookKind = 'update' | 'history' | 'removals' | 'item';
