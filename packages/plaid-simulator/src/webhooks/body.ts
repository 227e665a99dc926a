export type WebhookFields = Record<string, unknown>;

function sorted(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(sorted);
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(
    Object.entries(value)
      .filter(([, member]) => member !== undefined)
      .sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0))
      .map(([key, member]) => [key, sorted(member)]),
  );
}

/** The exact bytes Plaid signs and sends: keys sorted at every level, two spaces of indentation, no newline at the end. */
export function webhookBody(fields: WebhookFields): string {
  return JSON.stringify(sorted(fields), null, 2);
}
