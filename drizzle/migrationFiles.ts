import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { Failure } from '../domain/failures.js';

/** A step outside of a transaction: the only statements that PostgreSQL wants there and that can be begun again. */
export type ConcurrentStep =
  | { does: 'create'; index: string; table: string; statement: string }
  | { does: 'drop'; index: string; statement: string };

/** One file of the folder, in the journal's order. */
export interface Migration {
  /** Its file's name without `.sql`. */
  tag: string;
  /** When it was generated, in milliseconds: by this number the database's journal knows it. */
  createdAt: number;
  /** SHA-256 of its text, hexadecimal, as Drizzle's journal keeps it. */
  hash: string;
  work: { kind: 'transaction'; statements: string[] } | { kind: 'concurrent'; steps: ConcurrentStep[] };
  /** Why what it takes away or forbids is missed by no process that still runs; null when it only adds. */
  contract: string | null;
}

interface Journal {
  entries: { tag: string; when: number }[];
}

const breakpoint = '--> statement-breakpoint';
const stepLine = /^-- step: *(.*)$/;
const identifier = '(?:"([^"]+)"|([a-z_][a-z0-9_$]*))';
const creates = new RegExp(
  `^CREATE (?:UNIQUE )?INDEX CONCURRENTLY ${identifier} ON ${identifier}\\s[^;]*;?$`,
  'i',
);
const drops = new RegExp(`^DROP INDEX CONCURRENTLY ${identifier};?$`, 'i');

const refused = (tag: string, why: string): Failure =>
  new Failure('MISCONFIGURED', `migration ${tag}: ${why}`);

/** A statement without the comments that stand before it. */
const bare = (statement: string): string => statement.replace(/^(?:\s+|--[^\n]*(?:\n|$))+/, '').trim();

function concurrentStep(tag: string, text: string): ConcurrentStep {
  const statement = bare(text);
  const created = creates.exec(statement);
  if (created !== null) {
    const [, quoted, plain, quotedTable, plainTable] = created;
    return {
      does: 'create',
      index: quoted ?? plain?.toLowerCase() ?? '',
      table: quotedTable ?? plainTable?.toLowerCase() ?? '',
      statement,
    };
  }
  const dropped = drops.exec(statement);
  if (dropped !== null)
    return { does: 'drop', index: dropped[1] ?? dropped[2]?.toLowerCase() ?? '', statement };
  throw refused(
    tag,
    'a concurrent step is `CREATE [UNIQUE] INDEX CONCURRENTLY name ON table …` or `DROP INDEX CONCURRENTLY name`, ' +
      'one statement each, without IF [NOT] EXISTS: the migrator finds out itself what stands',
  );
}

/**
 * Reads one migration's text. Its first line may name the kind of step:
 *
 * - `-- step: concurrent`: each statement runs outside of a transaction, and is an index made or dropped CONCURRENTLY.
 * - `-- step: contract, <why nobody misses it>`: it takes away or forbids something. Only the lint reads the reason.
 *
 * Rejects with MISCONFIGURED, which names the file, when the kind of step or a concurrent step is none that we know.
 */
export function readMigration(tag: string, createdAt: number, text: string): Migration {
  const statements = text.split(breakpoint).filter((statement) => bare(statement) !== '');
  const step = stepLine.exec(text.split('\n', 1)[0] ?? '')?.[1]?.trim();
  const contract = /^contract, (\S.*)$/.exec(step ?? '')?.[1] ?? null;
  if (step !== undefined && step !== 'concurrent' && contract === null) {
    throw refused(
      tag,
      'its first line names a kind of step other than `concurrent` and `contract, <reason>`',
    );
  }
  return {
    tag,
    createdAt,
    hash: createHash('sha256').update(text).digest('hex'),
    contract,
    work:
      step === 'concurrent'
        ? { kind: 'concurrent', steps: statements.map((statement) => concurrentStep(tag, statement)) }
        : { kind: 'transaction', statements },
  };
}

/** All migrations of a folder that drizzle-kit keeps, in its journal's order. */
export function readMigrations(folder: string): Migration[] {
  const read = (name: string): string => readFileSync(path.join(folder, name), 'utf8');
  const journal = JSON.parse(read('meta/_journal.json')) as Journal;
  return journal.entries.map(({ tag, when }) => readMigration(tag, when, read(`${tag}.sql`)));
}
