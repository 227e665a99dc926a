import { execFile } from 'node:child_process';
import { createRequire } from 'node:module';
import path from 'node:path';
import { promisify } from 'node:util';
import { readMigrations } from '../../drizzle/migrationFiles.js';
import type { Migration } from '../../drizzle/migrationFiles.js';

/** Landed before there was a lint, and before a release. */
const excused: ReadonlySet<string> = new Set([
  '0000_start',
  '0001_unlogged_pages',
  '0002_replaced_by',
  '0003_surface',
  '0004_bodies_as_text',
  '0005_fences',
]);

/** Squawk's rules that are not ours: the migrator sets the timeouts and repeats nothing halfway; our integers are small. */
const notOurs = [
  'require-lock-timeout',
  'require-statement-timeout',
  'prefer-robust-stmts',
  'prefer-bigint-over-int',
  'prefer-bigint-over-smallint',
];

/** What a process of the release before stumbles over: only in a contract, which says why there is none any more. */
const contractRules = [
  'ban-drop-column',
  'ban-drop-table',
  'ban-drop-not-null',
  'renaming-column',
  'renaming-table',
  'changing-column-type',
  'adding-not-nullable-field',
  'adding-required-field',
];

interface OurRule {
  name: string;
  finds: RegExp;
  says: string;
  inContractsToo: boolean;
}

/** What squawk does not look for. */
const ourRules: readonly OurRule[] = [
  {
    name: 'drops-default',
    finds: /\bALTER\s+(?:COLUMN\s+)?\S+\s+DROP\s+DEFAULT\b/i,
    says: 'the release before may insert rows without this column: only in a contract',
    inContractsToo: false,
  },
  {
    name: 'rewrites-table',
    finds: /\bSET\s+(?:UNLOGGED|LOGGED|TABLESPACE|ACCESS\s+METHOD)\b|^\s*(?:CLUSTER|VACUUM)\b/im,
    says: 'writes the whole table anew while nobody can read it',
    inContractsToo: true,
  },
];

const require = createRequire(import.meta.url);
const squawk = require.resolve('squawk-cli/js/bin/squawk');
const run = promisify(execFile);

function squawkArguments({ work, contract }: Migration): string[] {
  const left = [...notOurs, ...(contract === null ? [] : contractRules)];
  return [
    ...(work.kind === 'transaction' ? ['--assume-in-transaction'] : []),
    ...['--pg-version', '16', '--reporter', 'gcc', '--exclude', left.join(',')],
  ];
}

/** Of migrations that are asked about in the same way: a process of squawk takes half a second, however many files it reads. */
async function squawkFindings(folder: string, alike: readonly Migration[]): Promise<string[]> {
  const [first] = alike;
  if (first === undefined) return [];
  const files = alike.map(({ tag }) => `${tag}.sql`);
  try {
    // Named by their files alone, and with no configuration of whoever calls.
    await run(process.execPath, [squawk, ...squawkArguments(first), ...files], { cwd: folder });
    return [];
  } catch (error) {
    const { stdout, code } = error as { stdout?: string; code?: unknown };
    const lines = (stdout ?? '')
      .split('\n')
      .filter((line) => files.some((file) => line.startsWith(`${file}:`)));
    // Without a finding it has not failed over the text: squawk itself could not be run.
    if (code !== 1 || lines.length === 0) throw error;
    return lines;
  }
}

function ourFindings({ tag, work, contract }: Migration): string[] {
  if (work.kind === 'concurrent') return [];
  return work.statements.flatMap((statement) =>
    ourRules
      .filter(({ finds, inContractsToo }) => finds.test(statement) && (contract === null || inContractsToo))
      .map(({ name, says }) => `${tag}.sql: ${name} ${says}`),
  );
}

/**
 * Looks for statements that hold up a live table, or that the release before stumbles over. Resolves with one line a finding.
 * The folder is one that drizzle-kit keeps.
 */
export async function lintMigrations(folder: string): Promise<string[]> {
  const migrations = readMigrations(path.resolve(folder)).filter(({ tag }) => !excused.has(tag));
  const groups = new Map<string, Migration[]>();
  for (const migration of migrations) {
    const key = squawkArguments(migration).join(' ');
    groups.set(key, [...(groups.get(key) ?? []), migration]);
  }
  const bySquawk = await Promise.all([...groups.values()].map((alike) => squawkFindings(folder, alike)));
  return [...bySquawk.flat(), ...migrations.flatMap(ourFindings)];
}
