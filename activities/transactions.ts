import { setTimeout as pause } from 'node:timers/promises';
import { activityInfo } from '@temporalio/activity';
import { areOfTwoMoments, listedAccounts } from '../domain/mining/listedAccounts.js';
import type { ListedAccounts } from '../domain/mining/listedAccounts.js';
import { isObject } from '../domain/mining/oddValues.js';
import { Failure, outages } from '../domain/failures.js';
import type { FailureType } from '../domain/failures.js';
import { emptyPage, minedPage } from '../domain/mining/page.js';
import type { RemovalWindow } from '../domain/mining/removalWindows.js';
import { removalWindows } from '../domain/mining/removalWindows.js';
import { ourselves } from '../domain/exchange/viewer.js';
import type { PageResult, UpdateOutcome, UserActionError } from '../domain/mining/run.js';
import { historyOf } from '../domain/mining/run.js';
import { beginsEpisode } from '../domain/plaidErrors.js';
import type { TaskName } from '../domain/item/tasks.js';
import type { ItemCredentials, Seen } from '../domain/ports/items.js';
import type { PlaidAccount, PlaidSyncPage } from '../domain/plaid.js';
import type { MiningStore, PageStart, Update } from '../domain/ports/mining.js';
import { askBank } from './bankPause.js';
import type { ActivityDeps } from './deps.js';
import { untilItStands } from '../domain/untilItStands.js';
import { isOfCursor, saidBy } from '../domain/item/health.js';
import { askHealth, beginEpisode, failWith } from './itemHealth.js';
import { alertOperators, alertUnknownCode, withToken } from './itemToken.js';

export interface MinePageInput {
  itemId: string;
  updateId: string;
  /** From 0. */
  page: number;
  /** Everything is read again from the empty cursor. */
  remine?: boolean;
  /** Of a remine: the Item goes on from the cursor that it has. */
  keepsCursor?: boolean;
  /** A page that is refused for want of the user begins an episode, also while `/item/get` calls the Item healthy. */
  believe?: boolean;
  /** How often in a row the page has failed before, in tries of its workflow; absent = never. */
  failures?: number;
  /** How many updates in a row have brought nothing; absent = none. */
  polls?: number;
  /** When the Item is due again after this update, ISO 8601: with a complete history, and before it is complete. */
  dueAt: { complete: string; incomplete: string };
}

const removalsAtOnce = 100;
/** Of `/transactions/get` in one look-up, which Plaid allows an Item 30 times a minute: clients who read through need some of them. */
const removalCalls = 10;
/** Rows of one answer, the first of which is the last one of the answer before. */
const removalPage = 500;
/** Of a list that moves, or has no order, whenever it is read. */
const triesOfList = 3;
/** What Plaid may say of some days alone: it will never list them, or breaks down over them. */
const ofWindow: ReadonlySet<FailureType> = new Set(['BAD_REQUEST', 'UPSTREAM_DOWN']);
/** What these calls can read. */
const removalRows = 1 + removalCalls * (removalPage - 1);

/** What Plaid says of the pages themselves; every other failure is thrown on. */
const ofPages: ReadonlySet<FailureType> = new Set(['PAGES_MOVED', 'BAD_REQUEST', 'PRODUCT_UNAVAILABLE']);
function refusalOf(error: unknown): Failure {
  if (error instanceof Failure && (ofPages.has(error.type) || isOfCursor(error))) return error;
  throw error;
}

/** Of a page that fails with each, `/item/get` is asked once in so many. */
const triesUnheard = 8;

/** The rows do not wait for what passes by itself longer than for some tries. */
const triesOfAccounts = 3;
/** What Plaid says of `/accounts/get` alone. */
const ofAccounts: ReadonlySet<FailureType> = new Set(['PRODUCT_UNAVAILABLE', 'NOT_READY', 'BAD_REQUEST']);

/** Why there are no accounts, where that keeps no transactions back; null = the update cannot go on. */
function refusalOfAccounts(error: unknown, tries: number): Failure | null {
  if (!(error instanceof Failure)) return null;
  return ofAccounts.has(error.type) || (outages.has(error.type) && tries >= triesOfAccounts) ? error : null;
}

/** Of these nobody else tells: of a bank that is down, and of what operators mend, there is word elsewhere. */
const haveNoAlert: ReadonlySet<FailureType> = new Set(['NOT_READY', 'UPSTREAM_DOWN']);

const shownOf = (refusal: Failure): { type: FailureType; error?: UserActionError } => ({
  type: refusal.type,
  ...(refusal.upstream === undefined ? {} : { error: saidBy(refusal) }),
});

/** How long Plaid may take for an Item's first rows, or for those that are due, before operators are told. */
const readyWithin = 24 * 3_600_000;

export function transactionActivities(deps: ActivityDeps) {
  const { plaid, items, mining, policy, crashPoint } = deps;
  /** Nothing is heard of an Item for as long as a time-out, and how many polls that are. */
  const quiet = policy.updateTimeout * (1 - policy.updateTimeoutSpread);
  const pollsOfQuiet = Math.max(1, Math.round(quiet / policy.pollLongest));

  /** Between an answer that may be wrong for once and the next one. */
  const doubt = async (): Promise<void> => {
    if (policy.doubtPause > 0) await pause(policy.doubtPause);
  };

  async function applied(
    itemId: string,
    outcome: Extract<PageResult, { kind: 'applied' }>['outcome'],
    calls: number,
  ): Promise<Extract<PageResult, { kind: 'applied' }>> {
    // Read after the apply was committed: a webhook that rides along with one just ended would else wait for the sweep.
    const waiting = await mining.waiting(itemId);
    const makesDue: TaskName[] = waiting.numbersDue ? ['numbers'] : [];
    // Of a remine its last reading alone is told to the Item's workflow: what the ones before it have changed would wait for the sweep.
    if (waiting.unsent && outcome.changes === 0) makesDue.push('publish');
    return {
      kind: 'applied',
      outcome,
      webhooksWaiting: waiting.webhooks,
      removalsWaiting: waiting.removals,
      broken: waiting.broken,
      nextDueAt: waiting.nextDueAt,
      ...(makesDue.length > 0 ? { makesDue } : {}),
      ...(waiting.remine === null ? {} : { remineAsked: waiting.remine }),
      ...(waiting.transactionsUnavailable ? { transactionsUnavailable: true } : {}),
      calls,
    };
  }

  type Fetch = Extract<PageStart, { kind: 'fetch' }>;

  /**
   * The accounts by `/accounts/get` and by what `/transactions/sync` has named. Where one is missing that was open, it is asked
   * for once more after a pause: one answer may be short, and what both lack is closed. `haveMoved`: the lists are of different moments.
   */
  async function askAccounts(
    { openAccounts }: Fetch,
    named: readonly PlaidAccount[],
    token: string,
  ): Promise<ListedAccounts & { haveMoved: boolean }> {
    const answer = await plaid.getAccounts(token);
    const haveMoved = areOfTwoMoments(openAccounts, named, answer);
    // Of those that we have the earlier list knows no better then.
    const isOurs = (entry: unknown): boolean =>
      isObject(entry) && openAccounts.includes(String(entry['account_id']));
    const first = listedAccounts(answer, haveMoved ? named.filter((entry) => !isOurs(entry)) : named);
    const listed = new Set(first.accounts.map(({ account_id }) => account_id));
    if (openAccounts.every((id) => listed.has(id))) return { ...first, haveMoved };
    await doubt();
    const second = await plaid.getAccounts(token);
    const moved = haveMoved || areOfTwoMoments(openAccounts, first.accounts, second);
    return { ...listedAccounts(second, first.accounts), haveMoved: moved };
  }

  /**
   * A page of Plaid's. That there are no transactions is asked for once more after a pause where it is news: applications are told that
   * the accounts are all that there is, and the Item waits for as long as a time-out.
   */
  async function askTransactions(start: Fetch, token: string): Promise<PlaidSyncPage | Failure> {
    const ask = () => plaid.syncTransactions(token, start.cursor).catch(refusalOf);
    const answer = await ask();
    const isNews =
      answer instanceof Failure && answer.type === 'PRODUCT_UNAVAILABLE' && !start.withoutTransactions;
    if (!isNews) return answer;
    await doubt();
    return ask();
  }

  /** Nobody but Plaid's support, or the operators, can do something about it. */
  async function alertAccounts(itemId: string, refusal: Failure): Promise<void> {
    await alertOperators(deps.alerts, itemId, refusal);
    if (refusal.type === 'PRODUCT_UNAVAILABLE') await alertUnavailable(itemId, refusal);
    if (refusal.type === 'BAD_REQUEST') await alertStuck(itemId, refusal);
  }

  async function alertStuck(itemId: string, { type, upstream }: Failure): Promise<void> {
    const { error_type, error_code } = upstream ?? { error_type: null, error_code: null };
    await deps.alerts.raise({
      kind: 'update_stuck',
      key: error_code === null ? itemId : `${itemId}/${error_code}`,
      item_id: itemId,
      detail: { type, error_type, error_code },
    });
  }

  /** Plaid has nothing yet. Of an Item that has waited for a day operators are told. */
  async function notReady(
    { itemId, updateId, page }: MinePageInput,
    { waitsSince }: Fetch,
    refusal: Failure,
    calls: number,
  ): Promise<PageResult> {
    // The update ends with it.
    if (page > 0) await mining.discard(itemId, updateId);
    if (waitsSince !== null && Date.now() - Date.parse(waitsSince) > readyWithin) {
      await alertStuck(itemId, refusal);
    }
    return { kind: 'notReady', calls };
  }

  /**
   * Plaid gives what it has, and has not read the whole history, or does not give the accounts (`refusal`). Where that stays so for a day
   * operators are told.
   */
  async function alertUnfinished(
    { itemId, polls = 0 }: MinePageInput,
    { waitsSince, admittedAt }: Fetch,
    { history, unread }: UpdateOutcome,
    refusal: Failure | null,
  ): Promise<void> {
    const stays = refusal !== null && haveNoAlert.has(refusal.type) ? refusal : null;
    const isPolledInVain = (history !== 'complete' || stays !== null) && polls >= pollsOfQuiet;
    const since = unread === 'NOT_READY' ? waitsSince : isPolledInVain ? admittedAt : null;
    if (since === null || Date.now() - Date.parse(since) <= readyWithin) return;
    await alertStuck(itemId, stays ?? new Failure('NOT_READY', 'the history is not complete'));
  }

  /** Gets the accounts and applies the update whose last page this is, with all pages before it. */
  async function applyLast(
    input: MinePageInput,
    start: Fetch,
    last: Pick<Update, 'page' | 'history' | 'transactionsUnavailable'> & { listed: PlaidAccount[] },
    token: string,
    calls: number,
  ): Promise<{ result: Awaited<ReturnType<MiningStore['apply']>>; refusal: Failure | null }> {
    const { itemId, updateId, page: pageNumber, dueAt, remine = false, keepsCursor = false } = input;
    const { listed, ...said } = last;
    const asked = await askAccounts(start, listed, token).catch(async (error: unknown) => {
      // Of an Item without transactions the accounts are all that there is.
      // An outage of a bank, or a long pause, gives each try back to the workflow: attempts alone would never be many.
      const tries = calls + (input.failures ?? 0);
      const refusal = said.transactionsUnavailable === true ? null : refusalOfAccounts(error, tries);
      if (refusal === null) throw error;
      await alertAccounts(itemId, refusal);
      return { ...listedAccounts([], listed), haveMoved: false, refusal };
    });
    if (asked.haveMoved && activityInfo().attempt < triesOfList) {
      throw new Failure('UPSTREAM_DOWN', 'the accounts are others since the transactions were asked for');
    }
    const { accounts, parked: parkedAccounts, unreadable: unreadableAccounts } = asked;
    const refusal = 'refusal' in asked ? asked.refusal : null;
    // The database's clock: those of two workers differ, and the balances of the later question stay.
    const accountsAsOf = new Date(start.credentials.seen.at).toISOString();
    crashPoint('apply.before');
    const result = await mining.apply({
      ...{ itemId, updateId, pageNumber, accounts, parkedAccounts, unreadableAccounts, accountsAsOf },
      ...{ dueAt, numbersAge: policy.numbersAge, remine, keepsCursor, began: start.began },
      ...(refusal === null ? {} : { accountsRefused: true }),
      ...said,
    });
    crashPoint('apply.afterCommit');
    return { result, refusal };
  }

  async function fetchPage(
    input: MinePageInput,
    start: Fetch,
    calls: number,
    token: string,
  ): Promise<PageResult> {
    const { itemId, updateId } = input;
    crashPoint('page.beforeCall');
    const answer = await askTransactions(start, token);
    crashPoint('page.afterAnswer');
    const moved = async (atDurableCursor: boolean): Promise<PageResult> => {
      await mining.discard(itemId, updateId);
      return { kind: 'moved', atDurableCursor, calls };
    };
    let last: Parameters<typeof applyLast>[2];
    if (answer instanceof Failure) {
      if (answer.type === 'BAD_REQUEST' || isOfCursor(answer)) {
        if (answer.upstream !== undefined) await alertUnknownCode(deps, answer.upstream);
        await mining.discard(itemId, updateId);
        return { kind: 'refused', error: answer.upstream === undefined ? null : saidBy(answer), calls };
      }
      if (answer.type === 'PAGES_MOVED') return moved(input.page === 0 && start.cursor !== '');
      await alertUnavailable(itemId, answer);
      // What was staged is half of something: the accounts alone are another update.
      if (input.page > 0) return moved(false);
      last = { page: emptyPage(start.cursor), history: null, listed: [], transactionsUnavailable: true };
    } else {
      const history = historyOf(answer.transactions_update_status);
      if (history === 'none' && answer.next_cursor === '') {
        return notReady(input, start, new Failure('NOT_READY', 'no cursor yet'), calls);
      }
      const { userId, institutionId } = start.credentials;
      const owner = { item_id: itemId, user_id: userId, institution_id: institutionId };
      const mined = minedPage(start.cursor, answer, owner);
      if (mined.hasMore) {
        const options = { began: start.began, remine: input.remine ?? false };
        const staged = await mining.stagePage(itemId, updateId, input.page, options, mined);
        crashPoint('page.afterStaging');
        if (staged.kind === 'circling') await mining.discard(itemId, updateId);
        return staged.kind === 'moved'
          ? { kind: 'moved', atDurableCursor: false, calls }
          : { ...staged, calls };
      }
      last = { page: mined, history, listed: answer.accounts };
    }
    const { result, refusal } = await applyLast(input, start, last, token, calls);
    if (result.kind === 'applied') {
      if (last.transactionsUnavailable !== true) await alertUnfinished(input, start, result.outcome, refusal);
      const answer = await applied(itemId, result.outcome, calls);
      return refusal === null ? answer : { ...answer, accountsFailure: shownOf(refusal) };
    }
    return result.kind === 'gone' ? { kind: 'gone', calls } : moved(false);
  }

  /**
   * A page that was refused for want of the user: `/item/get` decides whether an episode begins. A healthy Item is asked for the
   * page again, until `believe` is given; where `/item/get` does not answer the page has failed for what it was refused for.
   */
  async function needsUser(
    input: MinePageInput,
    seen: Seen,
    refusal: Failure,
    calls: number,
  ): Promise<PageResult> {
    const { itemId, updateId } = input;
    const health = await askHealth(deps, itemId).catch((error: unknown) => {
      // Nobody knows: what is known is the refusal, and that is shown.
      if (error instanceof Failure) throw refusal;
      throw error;
    });
    if (health === null) return { kind: 'gone', calls };
    const byCall = !('error' in health);
    if (byCall && input.believe !== true) {
      if (health.consent !== null) await items.noteConsent(itemId, health.seen, health.consent);
      return { kind: 'doubted', failure: refusal.type, error: saidBy(refusal), calls };
    }
    const [asked, error] = 'error' in health ? [health.seen, health.error] : [seen, saidBy(refusal)];
    await mining.discard(itemId, updateId);
    const dueAt = new Date(Date.now() + policy.brokenCheck).toISOString();
    // A late word: Plaid has answered better since, so the update asks once more.
    const stands = await items.setBroken(itemId, asked, error, dueAt, { byCall, consent: health.consent });
    return stands ? { kind: 'needsUser', error, calls } : { kind: 'moved', atDurableCursor: false, calls };
  }

  /**
   * The error with which `/item/get` ends the connection of an Item of which nothing was heard for as long as a time-out: its webhook may
   * have been lost, and Plaid serves for good what it has. Nothing is heard also of one that is polled in vain, or fails with each try, and
   * of one whose access was to end, and has not, or was renewed where nobody tells of it. Null = it is healthy, or nobody knows.
   */
  async function endedUnheard(
    { itemId, polls = 0, failures = 0 }: MinePageInput,
    { updatedAt, waitsSince, endsAt }: Fetch,
  ): Promise<UserActionError | null> {
    const since = updatedAt ?? waitsSince;
    const isQuiet = since !== null && Date.now() - Date.parse(since) >= quiet;
    const isPolled = polls > 0 && polls % pollsOfQuiet === 0;
    // Not with each try of what fails, of an Item whose bank is down, say.
    const hasEnded = endsAt !== null && Date.parse(endsAt) <= Date.now();
    const asks = failures > 0 ? failures % triesUnheard === 0 : isQuiet || isPolled || hasEnded;
    if (!asks) return null;
    const health = await askHealth(deps, itemId).catch((error: unknown) => {
      // The update finds out by itself what there is to be had.
      if (error instanceof Failure) return null;
      throw error;
    });
    if (health === null) return null;
    const began = await beginEpisode(deps, itemId, health);
    return began && 'error' in health ? health.error : null;
  }

  /**
   * The ids that Plaid lists between two dates, and how many calls that took; null = it cannot be told by them: there are too many
   * rows, or some that nobody can read. Offsets count a list that lives: a row that leaves it above pulls the others up, and one would
   * be skipped between two pages and be taken for gone. So each page begins with the last row of the one before, and the count stays.
   */
  async function listedIn(
    { from, to }: RemovalWindow,
    credentials: ItemCredentials,
  ): Promise<{ listed: Set<string> | null; calls: number }> {
    const listed = new Set<string>();
    // All accounts: to name one that was closed meanwhile is an error to Plaid, and would be at each repeat.
    const query = { from, to, count: removalPage };
    let before: { total: number; last: string | undefined } | null = null;
    for (let [offset, calls] = [0, 1]; ; calls += 1) {
      const { transactions, total } = await withToken(deps, credentials, (token) =>
        plaid.getTransactions(token, { ...query, offset }),
      );
      const ids = transactions.flatMap((row: unknown) =>
        isObject(row) && typeof row['transaction_id'] === 'string' ? [row['transaction_id']] : [],
      );
      if (total > removalRows || calls > 2 * removalCalls || ids.length < transactions.length) {
        return { listed: null, calls };
      }
      if (before !== null && (total !== before.total || ids[0] !== before.last)) {
        if (activityInfo().attempt >= triesOfList) return { listed: null, calls };
        throw new Failure('UPSTREAM_DOWN', 'the list of transactions moved while it was read');
      }
      ids.forEach((id) => listed.add(id));
      const read = offset + ids.length;
      // What stands there twice stands in the place of another one.
      if (read >= total) return { listed: listed.size < total ? null : listed, calls };
      // What a short answer does not list may live on.
      if (ids.length < 2) {
        if (activityInfo().attempt >= triesOfList) return { listed: null, calls };
        throw new Failure('UPSTREAM_DOWN', 'Plaid lists fewer transactions than it counts');
      }
      before = { total, last: ids.at(-1) };
      offset = read - 1;
    }
  }

  /** Whether a list has none of the other rows that live in its days: it may be short. */
  async function seemsShort(
    itemId: string,
    window: RemovalWindow,
    listed: ReadonlySet<string> | null,
  ): Promise<boolean> {
    if (listed === null || window.ids.every((id) => listed.has(id))) return false;
    const others = await mining.livingBeside(itemId, window);
    return others.length > 0 && !others.some((id) => listed.has(id));
  }

  /** As `listedIn`; one answer that seems short removes nothing, three in a row that agree do, whatever failed before. */
  async function surelyListedIn(
    itemId: string,
    window: RemovalWindow,
    credentials: ItemCredentials,
  ): ReturnType<typeof listedIn> {
    let answer = await listedIn(window, credentials);
    for (
      let tries = 1;
      tries < triesOfList && (await seemsShort(itemId, window, answer.listed));
      tries += 1
    ) {
      await doubt();
      const { listed, calls } = await listedIn(window, credentials);
      answer = { listed, calls: answer.calls + calls };
    }
    return answer;
  }

  /**
   * Looks up one window of named transactions, and writes the answer down; null for an Item that is not to be asked after. What cannot be
   * told so a remine finds out (`remineAsked`: its number).
   */
  async function applyWindow(
    itemId: string,
    window: RemovalWindow | null,
  ): Promise<{ changes: number; calls: number; remineAsked?: number } | null> {
    return untilItStands(async () => {
      const credentials = await items.credentials(itemId, { forRemoval: false });
      if (credentials === null) return null;
      const checked = window?.ids ?? [];
      const { listed, calls } =
        window === null
          ? { listed: new Set<string>(), calls: 0 }
          : await surelyListedIn(itemId, window, credentials);
      const remine = listed === null ? await deps.commands.requestRemine(ourselves, itemId) : null;
      const gone = listed === null ? [] : checked.filter((id) => !listed.has(id));
      const changes = await mining.applyRemovals(itemId, credentials.seen, checked, gone);
      if (changes === 'moved') return changes;
      const asked =
        remine !== null && typeof remine === 'object' && 'number' in remine ? remine.number : null;
      return { changes, calls, ...(asked === null ? {} : { remineAsked: asked }) };
    });
  }

  /** Neither waiting nor a login gives what Plaid says there is none of: one alert an Item. */
  async function alertUnavailable(itemId: string, { upstream }: Failure): Promise<void> {
    const { error_type, error_code } = upstream ?? { error_type: null, error_code: null };
    await deps.alerts.raise({
      kind: 'product_unavailable',
      key: itemId,
      item_id: itemId,
      detail: { error_type, error_code },
    });
  }

  return {
    /**
     * One page of an update: fetched and staged, or, when it is the last one, fetched and applied with all pages before it.
     * Safe to repeat at any point: a page that is staged and an update that is applied are answered from the database.
     */
    async minePage(input: MinePageInput): Promise<PageResult> {
      const { itemId, updateId, page } = input;
      const calls = activityInfo().attempt;
      const start = await mining.beginPage(itemId, updateId, page, { remine: input.remine ?? false });
      switch (start.kind) {
        case 'ended':
          return applied(itemId, start.outcome, calls);
        case 'gone':
          return { kind: 'gone', calls };
        case 'staged':
          return { kind: 'staged', rows: start.rows, calls };
        case 'missing':
        case 'moved':
          await mining.discard(itemId, updateId);
          return { kind: 'moved', atDurableCursor: false, calls };
        case 'fetch':
          break;
      }
      if (page === 0 && calls === 1) {
        const error = await endedUnheard(input, start);
        if (error !== null) return { kind: 'needsUser', error, calls };
      }
      try {
        return await askBank(deps.banks, start.credentials, () =>
          withToken(deps, start.credentials, (token) => fetchPage(input, start, calls, token)),
        );
      } catch (error) {
        if (!(error instanceof Failure)) throw error;
        if (error.type === 'NOT_READY') return notReady(input, start, error, calls);
        if (beginsEpisode(error.type)) return needsUser(input, start.credentials.seen, error, calls);
        if (error.type === 'PRODUCT_UNAVAILABLE') await alertUnavailable(itemId, error);
        throw error;
      }
    },

    /**
     * Looks up transactions that TRANSACTIONS_REMOVED named and that are still live after an update, in small windows of
     * `/transactions/get`; those that Plaid no longer lists are set to removed, window by window. At most a hundred at once, with ten
     * calls or so (`more`: others wait; `nextDueAt`: till then, ms since the epoch). What of them cannot be told so a
     * remine of number `remineAsked` finds out. Safe to repeat.
     */
    async settleRemovals(input: {
      itemId: string;
      /** How often in a row it has failed before, in tries of its workflow; absent = never. */
      failures?: number;
    }): Promise<{ changes: number; more: boolean; nextDueAt?: number; remineAsked?: number }> {
      const { itemId } = input;
      // The calls of all attempts are those of one look-up; after a failure it begins anywhere, so that each window has its turn.
      const { attempt } = activityInfo();
      const anywhere = attempt > 1 || (input.failures ?? 0) > 0;
      const allowed = attempt === 1 ? removalCalls : 2;
      const named = await mining.namedRemovals(itemId, removalsAtOnce, anywhere ? Math.random() : 0);
      // Where none of them lives the webhooks end without a question.
      const windows = named.length === 0 ? [null] : removalWindows(named);
      const firstIndex = anywhere ? Math.floor(Math.random() * windows.length) : 0;
      let [calls, changes] = [0, 0];
      let refused = null as Failure | null;
      let remineAsked: number | null = null;
      for (const window of [...windows.slice(firstIndex), ...windows.slice(0, firstIndex)]) {
        if (calls >= allowed) break;
        try {
          const found = await applyWindow(itemId, window);
          if (found === null) return { changes, more: false };
          calls += found.calls;
          changes += found.changes;
          remineAsked = found.remineAsked ?? remineAsked;
        } catch (error) {
          // What Plaid does not answer for these days holds up nothing of the others.
          if (!(error instanceof Failure && ofWindow.has(error.type))) return failWith(deps, itemId, error);
          calls += 1;
          // One that is asked again at once goes first: else none would come to the attempt that ends its doubts.
          refused = refused?.retryable === true ? refused : error;
        }
      }
      if (refused !== null && changes === 0 && remineAsked === null) throw refused;
      // Read after the commit: of a webhook that came before it nobody hears, since these seemed to be on their way.
      const { removals } = await mining.waiting(itemId);
      const rest = calls >= allowed && removals > 0;
      return {
        changes,
        more: removals > 0,
        ...(rest ? { nextDueAt: Date.now() + policy.limits.window / 2 } : {}),
        ...(remineAsked === null ? {} : { remineAsked }),
      };
    },
  };
}
