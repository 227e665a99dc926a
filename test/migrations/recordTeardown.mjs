import { writeFileSync } from 'node:fs';
import postgres from 'postgres';
import globalTeardown from '../stack/globalTeardown.mjs';

/** A statement that names no table of ours is the driver's, or the tests'. */
const asksTables = /^\s*(?:--[^\n]*\n\s*)*(?:SELECT|INSERT|UPDATE|DELETE|WITH|MERGE|VALUES)\b/i;

/** Writes what was recorded to the file that `npm run record-statements` names, types by name. */
export default async function recordTeardown() {
  const sql = postgres(globalThis.sluiceRecordedDatabase, { max: 1 });
  try {
    const names = await sql`SELECT oid::int AS oid, format_type(oid, NULL) AS name FROM pg_type`;
    const nameOf = new Map([
      [0, 'unknown'],
      ...names.map(({ oid, name }) => /** @type {const} */ ([oid, name])),
    ]);
    const tables = await tablesOf(sql);
    const ours = new RegExp(`\\b(?:${tables.join('|')})\\b`);
    const statements = globalThis.sluiceRecorder
      .statements()
      .filter((statement) => asksTables.test(statement.sql) && ours.test(statement.sql))
      .map((statement) => ({ sql: statement.sql, types: statement.types.map((oid) => nameOf.get(oid)) }));
    writeFileSync(process.env.SLUICE_RECORDED ?? '', `${JSON.stringify(statements, null, 1)}\n`);
  } finally {
    await sql.end({ timeout: 5 });
    await globalThis.sluiceRecorder.stop();
    await globalTeardown();
  }
}

/** Names of our tables, from the template that all test databases were copied from. @param {postgres.Sql} sql */
async function tablesOf(sql) {
  const [template] =
    await sql`SELECT datname FROM pg_database WHERE datistemplate AND datname LIKE 'sluice%'`;
  const url = new URL(globalThis.sluiceRecordedDatabase);
  url.pathname = `/${template?.datname}`;
  const there = postgres(url.href, { max: 1 });
  try {
    const rows =
      await there`SELECT relname FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace`;
    return rows.map(({ relname }) => relname);
  } finally {
    await there.end({ timeout: 5 });
  }
}
