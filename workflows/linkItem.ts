import {
  ActivityFailure,
  allHandlersFinished,
  condition,
  setCurrentDetails,
  setHandler,
  sleep,
} from '@temporalio/workflow';
import type { ExchangeResult } from '../activities/link.js';
import { backoff } from '../domain/item/policy.js';
import { joinedOutcome } from '../domain/joinedOutcome.js';
import type { LinkOutcome } from '../domain/ports/links.js';
import { linkOutcome, priorities } from './contract.js';
import type { LinkItemInput } from './contract.js';
import { onlyWaited } from './onlyWaited.js';
import { db, plaidOnce, plaidWhileUserWaits } from './proxies.js';

const firstPauseMs = 5_000;
const longestPauseMs = 600_000;
/** Who asks for the link once more ends a pause, but none before this. */
const shortestPauseMs = 15_000;

/**
 * Links one Item: guard, exchange, store, admit, start the Item's workflow. Each iteration of the loop reads the link's row and
 * does what its state asks for, so that a repeat after any crash goes on where the row stands. After the answer it removes at Plaid an
 * Item that did not become the user's.
 */
export async function linkItem({ tokenHash }: LinkItemInput): Promise<LinkOutcome> {
  let outcome: LinkOutcome | null = null;
  /** What those were answered of late for whom Plaid has refused what operators mend. It is stored nowhere, and the link goes on. */
  let refusal: LinkOutcome | null = null;
  let asked = 0;
  let refused = 0;
  setHandler(linkOutcome, async () => {
    const mine = (asked += 1);
    await condition(() => outcome !== null || refused >= mine);
    return (outcome ?? refusal) as unknown as LinkOutcome;
  });
  const rows = db({ priority: { priorityKey: priorities.waitingUser } });

  let itemId: string | null = null;
  for (let failures = 0; outcome === null;) {
    const row = await rows.loadLink({ tokenHash });
    itemId = row.itemId;
    const heard = asked;
    setCurrentDetails(`- ${row.state}\n- item ${row.itemId ?? 'unknown yet'}\n- ${failures} failed attempts`);
    try {
      const end = row.outcome === null ? await advance(tokenHash, row) : row.outcome;
      if (end?.kind !== 'misconfigured') {
        outcome = end;
        continue;
      }
      refusal = { kind: 'refused', plaid: end.plaid };
      refused = heard;
    } catch (error) {
      if (!(error instanceof ActivityFailure)) throw error;
      if (onlyWaited(error)) continue;
      // Still `exchanging` = the answer is lost: say so at once. Else nothing is lost, and time may help.
      const { state } = await rows.loadLink({ tokenHash });
      if (state === 'exchanging') continue;
    }
    failures += 1;
    const pauseMs = backoff(failures, firstPauseMs, longestPauseMs);
    await sleep(Math.min(pauseMs, shortestPauseMs));
    if (pauseMs > shortestPauseMs) await condition(() => asked > heard, pauseMs - shortestPauseMs);
  }
  setCurrentDetails(`- ${outcome.kind}`);
  if (itemId !== null && !(outcome.kind === 'linked' && outcome.item_id === itemId)) await discard(tokenHash);
  await condition(allHandlersFinished);
  return outcome;
}

/** Until Plaid has agreed: it is nobody's, and billed. */
async function discard(tokenHash: string): Promise<void> {
  for (let failures = 0; ;) {
    try {
      return await plaidWhileUserWaits().discardItem({ tokenHash });
    } catch (error) {
      if (!(error instanceof ActivityFailure)) throw error;
      if (onlyWaited(error)) continue;
      failures += 1;
      await sleep(backoff(failures, firstPauseMs, longestPauseMs));
    }
  }
}

type Row = Awaited<ReturnType<ReturnType<typeof db>['loadLink']>>;
type Misconfigured = Extract<ExchangeResult, { kind: 'misconfigured' }>;

/** What the row's state asks for; null when the row has to be read again. */
async function advance(tokenHash: string, row: Row): Promise<LinkOutcome | Misconfigured | null> {
  const priority = { priorityKey: priorities.waitingUser };
  const rows = db({ priority });
  const plaid = plaidWhileUserWaits({ priority });
  const finish = (outcome: LinkOutcome): Promise<LinkOutcome> => rows.finishLink({ tokenHash, outcome });

  switch (row.state) {
    case 'received': {
      const { duplicateOf, ended } = await plaid.guardLink({ tokenHash });
      // It has joined an Item that was there: the row has the outcome.
      if (ended) return null;
      if (duplicateOf !== null) return finish({ kind: 'duplicate', item_id: duplicateOf });
      const exchange = await plaidOnce({ priority }).exchangePublicToken({ tokenHash });
      if (exchange.kind === 'misconfigured') return exchange;
      return exchange.kind === 'refused' ? finish(exchange.outcome) : null;
    }
    case 'exchanging':
      return rows.reportLostExchange({ tokenHash });
    case 'exchanged': {
      const item_id = row.itemId as string;
      const admitted = await plaid.admitItem({ tokenHash });
      if (admitted.kind === 'admitted') {
        const { replaced, updated } = admitted;
        const visited = updated === undefined ? {} : { updated };
        await rows.startItem({ tokenHash, itemId: item_id, userId: row.userId, replaced, ...visited });
        const replaces = replaced[0] ?? null;
        const { warnings, dropped = [], connection_id, joined } = admitted;
        return finish({
          kind: 'linked',
          item_id,
          replaces,
          warnings,
          ...(dropped.length === 0 ? {} : { dropped_accounts: dropped }),
          ...(connection_id === undefined ? {} : { connection_id }),
          ...(joined === undefined ? {} : { joined }),
        });
      }
      if (admitted.kind === 'user_being_erased') return finish({ kind: 'user_being_erased' });
      if (admitted.kind === 'joined') return finish(joinedOutcome(admitted));
      return finish(
        admitted.kind === 'duplicate'
          ? { kind: 'duplicate', item_id: admitted.itemId }
          : { kind: 'refused', plaid: admitted.plaid },
      );
    }
    case 'finished':
      return row.outcome;
  }
}
