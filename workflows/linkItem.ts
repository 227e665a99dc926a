import {
  ActivityFailure,
  allHandlersFinished,
  condition,
  setCurrentDetails,
  setHandler,
  sleep,
} from '@temporalio/workflow';
import { backoff } from '../domain/item/policy.js';
import type { LinkOutcome } from '../domain/ports/links.js';
import { linkOutcome, priorities } from './contract.js';
import type { LinkItemInput } from './contract.js';
import { onlyWaited } from './onlyWaited.js';
import { db, plaidOnce, plaidWhileUserWaits } from './proxies.js';

const firstPauseMs = 5_000;
const longestPauseMs = 3_600_000;

/**
 * Links one Item: guard, exchange, store, admit, start the Item's workflow. Each iteration of the loop reads the link's row and
 * does what its state asks for, so that a repeat after any crash goes on where the row stands.
 */
export async function linkItem({ tokenHash }: LinkItemInput): Promise<LinkOutcome> {
  let outcome: LinkOutcome | null = null;
  setHandler(linkOutcome, async () => {
    await condition(() => outcome !== null);
    return outcome as unknown as LinkOutcome;
  });
  const rows = db({ priority: { priorityKey: priorities.waitingUser } });

  for (let failures = 0; outcome === null;) {
    const row = await rows.loadLink({ tokenHash });
    setCurrentDetails(`- ${row.state}\n- item ${row.itemId ?? 'unknown yet'}\n- ${failures} failed attempts`);
    try {
      outcome = row.outcome ?? (await advance(tokenHash, row));
    } catch (error) {
      if (!(error instanceof ActivityFailure)) throw error;
      if (onlyWaited(error)) continue;
      failures += 1;
      // Still `exchanging` = the answer is lost: say so at once. Else nothing is lost, and time may help.
      const { state } = await rows.loadLink({ tokenHash });
      if (state !== 'exchanging') await sleep(backoff(failures, firstPauseMs, longestPauseMs));
    }
  }
  setCurrentDetails(`- ${outcome.kind}`);
  await condition(allHandlersFinished);
  return outcome;
}

type Row = Awaited<ReturnType<ReturnType<typeof db>['loadLink']>>;

/** What the row's state asks for; null when the row has to be read again. */
async function advance(tokenHash: string, row: Row): Promise<LinkOutcome | null> {
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
      return exchange.kind === 'refused' ? finish(exchange.outcome) : null;
    }
    case 'exchanging':
      return rows.reportLostExchange({ tokenHash });
    case 'exchanged': {
      const item_id = row.itemId as string;
      const admitted = await plaid.admitItem({ tokenHash });
      if (admitted.kind === 'admitted') {
        await rows.startItem({ itemId: item_id, userId: row.userId, replaced: admitted.replaced });
        const replaces = admitted.replaced[0] ?? null;
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
      await plaid.discardItem({ tokenHash });
      if (admitted.kind === 'user_being_erased') return finish({ kind: 'user_being_erased' });
      if (admitted.kind === 'joined') {
        const { itemId, connection_id } = admitted;
        return finish({
          kind: 'linked',
          item_id: itemId,
          replaces: null,
          warnings: [],
          connection_id,
          joined: true,
        });
      }
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
