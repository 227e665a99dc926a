import { customType } from 'drizzle-orm/pg-core';

/** Plaid's ids and ours: case-sensitive, ordered by byte, so that a page key sorts alike on every server. */
export const id = customType<{ data: string }>({ dataType: () => 'text COLLATE "C"' });

export const bytea = customType<{ data: Uint8Array }>({ dataType: () => 'bytea' });

/** As the driver gives it: cut to milliseconds. What is compared in PostgreSQL again is read as text. */
export const moment = customType<{ data: Date }>({ dataType: () => 'timestamp(6) with time zone' });

/** A transaction's id that never wraps. As text: it is compared in PostgreSQL only. */
export const xid8 = customType<{ data: string }>({ dataType: () => 'xid8' });
