import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { Ajv2020 } from 'ajv/dist/2020.js';
import formats from 'ajv-formats';
import type postgres from 'postgres';
import type { EventBody } from '../../domain/exchange/eventBody.js';
import { eventBody } from '../../domain/exchange/eventBody.js';
import type { events } from '../../drizzle/schema.js';
import type { RowOf } from '../../drizzle/selection.js';
import { storedEvent } from '../../drizzle/stores/storedEvent.js';

const folder = path.join(path.dirname(fileURLToPath(import.meta.url)), '../../schemas/exchange');
const ajv = new Ajv2020({ strict: true, strictTypes: false, allErrors: true });
formats.default(ajv);
for (const file of readdirSync(folder)) {
  ajv.addSchema(JSON.parse(readFileSync(path.join(folder, file), 'utf8')) as object);
}

/** What is wrong with the body of an event by the schema of its type; empty = nothing. */
export function eventErrors(body: EventBody): string[] {
  const validate = ajv.getSchema(`urn:sluice:schema:${body.type}`);
  if (validate === undefined) return [`${body.type} has no schema`];
  if (validate(body)) return [];
  return (validate.errors ?? []).map(
    ({ instancePath, message = '' }) => `${body.type}${instancePath} ${message}`,
  );
}

/** All events that stand in a database, in the order in which they were written, as bodies. */
export async function writtenEvents(sql: postgres.Sql): Promise<EventBody[]> {
  const rows = await sql<RowOf<typeof events>[]>`SELECT * FROM events ORDER BY position`;
  return rows.map((row) => eventBody(storedEvent(row), { counted: true }));
}
