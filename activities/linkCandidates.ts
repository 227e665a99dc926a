import { setTimeout as pause } from 'node:timers/promises';
import { Failure } from '../domain/failures.js';
import type { FailureType } from '../domain/failures.js';
import { healthOf } from '../domain/item/health.js';
import { beginsEpisode, failureTypeOf, isGone } from '../domain/plaidErrors.js';
import type { DuplicateCandidate } from '../domain/ports/links.js';
import type { ActivityDeps } from './deps.js';
import { withToken } from './itemToken.js';

/**
 * How an older Item with the same accounts is: `healthy` = it is protected, `broken` = it may give way to the new one, `gone` = Plaid has
 * it no more, `revoked` = nor may have it: its user has taken the permission back. A Failure = Plaid does not say, for now.
 */
export type CandidateHealth = 'healthy' | 'broken' | 'gone' | 'revoked' | Failure;

function saidOf(type: FailureType): 'healthy' | 'broken' | 'gone' | 'revoked' {
  if (isGone(type)) return type === 'PERMISSION_REVOKED' ? 'revoked' : 'gone';
  // That no login mends it is no reason to give way.
  return beginsEpisode(type) && type !== 'BANK_UNSUPPORTED' ? 'broken' : 'healthy';
}

/** What a refusal says of an Item. A token that is refused, or does not open here, says nothing, however often it is tried: it may live. */
function meaningOf(failure: Failure): CandidateHealth {
  const { type } = failure;
  if (type === 'TOKEN_REFUSED' || type === 'SECRET_UNREADABLE') return 'healthy';
  return beginsEpisode(type) ? saidOf(type) : failure;
}

const orFailure = (error: unknown): CandidateHealth => {
  if (error instanceof Failure) return meaningOf(error);
  throw error;
};

/**
 * Asks Plaid how an older Item is. One answer takes nobody's Item away, nor gives out one that its row calls broken: what would do so is
 * asked once more after a pause, and where Plaid calls the Item gone its accounts are asked for as well. Rejects with nothing but what is no
 * Failure.
 */
export async function askCandidate(
  deps: Pick<ActivityDeps, 'plaid' | 'secrets' | 'alerts' | 'policy'>,
  candidate: Pick<DuplicateCandidate, 'itemId' | 'accessToken' | 'isBroken'>,
): Promise<CandidateHealth> {
  const { plaid } = deps;
  const ask = (): Promise<CandidateHealth> =>
    withToken(deps, candidate, (token) => plaid.getItem(token)).then((view): CandidateHealth => {
      const health = healthOf(view);
      return health.kind === 'broken' ? saidOf(failureTypeOf(health.error) ?? 'UPSTREAM_DOWN') : 'healthy';
    }, orFailure);
  const first = await ask();
  if (first instanceof Failure || (first === 'healthy' && !candidate.isBroken)) return first;
  await pause(deps.policy.doubtPause);
  const second = await ask();
  // One of the two is wrong, and nobody knows which: whoever asks later does.
  if (first === 'healthy' && typeof second === 'string' && second !== first)
    return new Failure('UPSTREAM_DOWN', 'Plaid calls an Item healthy, and then not');
  if (second !== 'gone' && second !== 'revoked') return second;
  const third = await withToken(deps, candidate, (token) => plaid.getAccounts(token)).then(
    (): CandidateHealth => 'healthy',
    orFailure,
  );
  return third === 'gone' ? second : third;
}
