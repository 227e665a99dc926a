import type { ComparedItem } from './demoRun.js';
import { STREAMS, type Difference } from './compare.js';
import type { FeatureCheck } from './featureCheck.js';

const SHOWN_DIFFERENCES = 20;

/** The table that `npm start` and `npm run demo` end with. */
export function renderSummary(
  items: readonly ComparedItem[],
  checks: readonly FeatureCheck[],
  elapsedMs: number,
): string {
  const lines: string[] = [];
  for (const { itemId, truth, observed, differences, notes } of items) {
    const openAccounts = truth.accounts.filter(({ closed }) => closed !== true).length;
    const apart = new Set([...truth.closed_account_transactions, ...truth.closed_account_removed]);
    const live = observed.transactions.filter((row) => row.live && !apart.has(row.id)).length;
    const rows: string[][] = [
      ['', 'truth', 'found', 'differences'],
      ['PostgreSQL transactions', number(truth.transactions.length), number(live), ''],
      [
        'PostgreSQL removed rows',
        number(truth.removed.length),
        number(observed.transactions.filter((row) => !row.live && !apart.has(row.id)).length),
        '',
      ],
      [
        'PostgreSQL accounts',
        number(openAccounts),
        number(observed.accounts.filter((row) => row.live).length),
        of(differences, 'postgres'),
      ],
      ...STREAMS.map((name) => [
        `stream ${name}`,
        number(name.endsWith('accounts') ? openAccounts : truth.transactions.length),
        `${number(liveSubjects(observed.events[name], apart))} (${number(observed.events[name].length)} events)`,
        of(differences, name),
      ]),
      ['sequence of raw events', 'no gap', '', of(differences, 'raw streams')],
      ['sequence of refined events', 'no gap', '', of(differences, 'refined streams')],
    ];
    lines.push(`item ${itemId}`, ...table(rows), ...notes.map((note) => `  ${note}`));
    lines.push(
      ...differences.slice(0, SHOWN_DIFFERENCES).map((difference) => `  DIFFERS ${describe(difference)}`),
    );
    if (differences.length > SHOWN_DIFFERENCES)
      lines.push(`  … and ${differences.length - SHOWN_DIFFERENCES} more`);
  }
  if (checks.length > 0) {
    const rows = checks.map(({ what, expected, found }) => [
      what,
      expected,
      found,
      expected === found ? '0' : '1',
    ]);
    lines.push('beside mining', ...table([['', 'expected', 'found', 'differences'], ...rows]));
  }
  lines.push(`elapsed: ${(elapsedMs / 1000).toFixed(1)} s`);
  return lines.join('\n');
}

/** One line: what does not equal the truth, or that all does. */
export function verdict(
  items: readonly ComparedItem[],
  checks: readonly FeatureCheck[],
): { readonly equal: boolean; readonly line: string } {
  const differences = items.flatMap((item) => item.differences);
  const unmet = checks.find(({ expected, found }) => expected !== found);
  const [first] = differences;
  if (!first && unmet)
    return {
      equal: false,
      line: `NOT as expected: ${unmet.what}: ${unmet.found} instead of ${unmet.expected}`,
    };
  if (!first)
    return {
      equal: items.length > 0,
      line: items.length > 0 ? 'equal to the truth' : 'no item was compared',
    };
  const more = differences.length > 1 ? ` (and ${differences.length - 1} more differences)` : '';
  return { equal: false, line: `NOT equal to the truth: ${describe(first)}${more}` };
}

function describe({ store, id, problem }: Difference): string {
  return `${store}: ${id ? `${id}: ` : ''}${problem}`;
}

function of(differences: readonly Difference[], store: Difference['store']): string {
  return String(differences.filter((difference) => difference.store === store).length);
}

function liveSubjects(
  events: ComparedItem['observed']['events']['raw-accounts'],
  apart: ReadonlySet<string>,
): number {
  const last = new Map(events.map(({ subject, type }) => [subject, type]));
  return [...last].filter(([subject, type]) => !type.includes('.removed.') && !apart.has(subject)).length;
}

function number(value: number): string {
  return value.toLocaleString('en-US');
}

function table(rows: readonly string[][]): string[] {
  const widths = [0, 1, 2, 3].map((column) => Math.max(...rows.map((row) => row[column]?.length ?? 0)));
  return rows.map((row) =>
    `  ${row.map((cell, column) => (column === 0 ? cell.padEnd(widths[column] ?? 0) : cell.padStart(widths[column] ?? 0))).join('  ')}`.trimEnd(),
  );
}
