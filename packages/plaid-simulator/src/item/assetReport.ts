import type { BankAccount } from '../bank/account.js';
import { parseRow } from '../bank/row.js';
import { toCents } from '../bank/portfolio.js';
import { addDays, civilDate, instant } from '../calendar.js';
import type { ReportRequest, ReportToken } from '../tokens.js';
import type { WireAssetAccount, WireAssetReport } from '../wire.js';
import type { World } from '../world.js';
import { trueAccountView } from './accountView.js';
import type { Item } from './item.js';
import { holdingsOf, isInvestment, securitiesTraded, tradesOfAccounts } from './portfolios.js';

/** Plans the making of a report that is not made yet, and the webhook that announces it. */
export function scheduleReport(world: World, report: ReportToken): void {
  if (report.report !== null) return;
  world.schedule.at(report.readyAt, report.token, () => {
    if (world.reports.get(report.token) !== report || report.report !== null) return;
    report.report = makeReport(world, report.request);
    world.keeper.report(report);
    if (report.webhook === null) return;
    world.deliveries.send({
      url: report.webhook,
      itemId: null,
      clientId: report.clientId,
      fields: {
        webhook_type: 'ASSETS',
        webhook_code: 'PRODUCT_READY',
        asset_report_id: report.request.reportId,
        report_type: 'FULL',
        environment: 'sandbox',
      },
    });
  });
}

/** The report as of now. Items that were removed meanwhile are not in it. */
function makeReport(world: World, request: ReportRequest): WireAssetReport {
  const now = world.clock.now();
  return {
    asset_report_id: request.reportId,
    client_report_id: request.clientReportId,
    date_generated: instant(now),
    days_requested: request.days,
    user: request.user,
    items: request.itemIds.flatMap((id) => {
      const item = world.items.get(id);
      if (!item || item.facts.removedAt !== null) return [];
      const { institutionId, lastSuccessfulUpdate, createdAt } = item.facts;
      return [
        {
          item_id: id,
          institution_name: world.institutions.get(institutionId)?.name ?? institutionId,
          institution_id: institutionId,
          date_last_updated: instant(lastSuccessfulUpdate ?? createdAt),
          accounts: item.openAccounts.map((known) => accountReport(world, item, known, request)),
        },
      ];
    }),
  };
}

function accountReport(
  world: World,
  item: Item,
  known: BankAccount,
  { days, withInvestments }: ReportRequest,
): WireAssetAccount {
  const { persistent_account_id, mask, name, official_name, type, subtype, account_id, balances } =
    trueAccountView(item, known);
  const today = civilDate(world.clock.now());
  const oldest = addDays(today, -days);
  const rows = [...item.bank.values()]
    .filter((row) => row.accountId === account_id && row.date > oldest && row.date <= today)
    .map(parseRow)
    .sort((a, b) => (a.transaction.date < b.transaction.date ? 1 : -1));
  return {
    ...{ account_id, mask, name, official_name, type, subtype },
    ...(persistent_account_id === undefined ? {} : { persistent_account_id }),
    balances: { ...balances, margin_loan_amount: null },
    days_available: days,
    transactions: rows.map(({ transaction: row, originalDescription }) => ({
      account_id,
      amount: row.amount,
      date: row.date,
      iso_currency_code: row.iso_currency_code,
      unofficial_currency_code: row.unofficial_currency_code,
      original_description: originalDescription,
      pending: row.pending,
      transaction_id: row.transaction_id,
    })),
    ...(withInvestments && isInvestment(known) ? { investments: investmentsReport(world, item, known) } : {}),
    owners: known.owners,
    ownership_type: null,
    historical_balances: balancesBefore(
      balances.current ?? 0,
      // Money that goes out makes what one has less, and what one owes more.
      rows.map(({ transaction: { date, amount } }) => ({
        date,
        amount: type === 'credit' ? -amount : amount,
      })),
      today,
      days,
    ).map(({ date, current }) => ({
      date,
      current,
      iso_currency_code: balances.iso_currency_code,
      unofficial_currency_code: balances.unofficial_currency_code,
    })),
  };
}

/** The balance at the end of each day, the newest first: what was booked on a day was not there the day before. */
function balancesBefore(
  current: number,
  booked: readonly { date: string; amount: number }[],
  today: string,
  days: number,
): { date: string; current: number }[] {
  const out = new Map<string, number>();
  for (const { date, amount } of booked) out.set(date, (out.get(date) ?? 0) + amount);
  let balance = current;
  return Array.from({ length: days }, (_, ago) => {
    const date = addDays(today, -ago);
    const atEnd = balance;
    balance = toCents(balance + (out.get(date) ?? 0));
    return { date, current: atEnd };
  });
}

function investmentsReport(
  world: World,
  item: Item,
  known: BankAccount,
): NonNullable<WireAssetAccount['investments']> {
  const { holdings, securities } = holdingsOf(world, item, [known]);
  const traded = tradesOfAccounts(world, item, [known]);
  const all = new Map(
    [...securitiesTraded(world, item, traded), ...securities].map((security) => [
      security.security_id,
      security,
    ]),
  );
  return {
    holdings: holdings.map((holding) => ({
      account_id: holding.account_id,
      security_id: holding.security_id,
      ticker_symbol: all.get(holding.security_id)?.ticker_symbol ?? null,
      institution_price: holding.institution_price,
      institution_price_as_of: holding.institution_price_as_of ?? null,
      institution_value: holding.institution_value,
      cost_basis: holding.cost_basis,
      quantity: holding.quantity,
      iso_currency_code: holding.iso_currency_code,
      unofficial_currency_code: null,
    })),
    securities: [...all.values()].map(({ security_id, name, ticker_symbol, type }) => ({
      security_id,
      name,
      ticker_symbol,
      type,
    })),
    transactions: traded.map(({ row }) => ({
      investment_transaction_id: row.investment_transaction_id,
      account_id: row.account_id,
      security_id: row.security_id,
      date: row.date,
      name: row.name,
      quantity: row.quantity,
      vested_quantity: 0,
      vested_value: 0,
      amount: row.amount,
      price: row.price,
      fees: row.fees,
      type: row.type,
      subtype: row.subtype,
      iso_currency_code: row.iso_currency_code,
      unofficial_currency_code: null,
    })),
  };
}
