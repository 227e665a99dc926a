import { customType, timestamp } from 'drizzle-orm/pg-core';

/** Plaid's ids and ours: case-sensitive, ordered by byte, so that a page key sorts alike on every server. */
export const id = customType<{ data: string }>({ dataType: () => 'text COLLATE "C"' });

export const bytea = customType<{ data: Uint8Array }>({ dataType: () => 'bytea' });

export const moment = (name: string) => timestamp(name, { withTimezone: true, precision: 6, mode: 'string' });
