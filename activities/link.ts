import type { AccountIdentity } from '../domain/mining/accounts.js';
import { defaultMainAccount, identityOf } from '../domain/mining/accounts.js';
import { listedAccounts } from '../domain/mining/listedAccounts.js';
import { Failure } from '../domain/failures.js';
import type { FailureType, UpstreamError } from '../domain/failures.js';
import { secretContext } from '../domain/ids.js';
import { healthOf } from '../domain/item/health.js';
import { isUnsupported } from '../domain/plaidErrors.js';
import type { PlaidAccount } from '../domain/plaid.js';
import type {
  Admitted,
  DuplicateCandidate,
  Joined,
  LinkOutcome,
  LinkRow,
  LinkWarning,
} from '../domain/ports/links.js';
import { untilItStands } from '../domain/untilItStands.js';
import { askItem } from '../domain/webhookAddress.js';
import type { ActivityDeps } from './deps.js';
import { withToken } from './itemToken.js';

/** What the link's workflow needs to know of its row. */
export interface LinkProgress {
  state: LinkRow['state'];
  userId: string;
  itemId: string | null;
  outcome: LinkOutcome | null;
}

export type ExchangeResult =
  | { kind: 'exchanged'; itemId: string }
  /** Plaid refused for good. */
  | { kind: 'refused'; outcome: LinkOutcome }
  /** Not in a state to be exchanged: read the row again. */
  | { kind: 'settled' };

export type AdmitResult =
  | ({ kind: 'admitted'; replaced: string[]; dropped?: string[]; warnings: LinkWarning[] } & Pick<
      Admitted,
      'connection_id' | 'joined'
    >)
  /** Connected with an Item that was there: the new one is to be discarded. */
  | Joined
  | { kind: 'duplicate'; itemId: string }
  /** Everything of the user is to be deleted. */
  | { kind: 'user_being_erased' }
  /** Removed at Plaid, or discarded here, before it became the user's. */
  | { kind: 'gone'; plaid: UpstreamError | null };

/**
 * What of an older Item's token makes it give way to the new one. One that is refused beside the new one, which our keys have
 * just got, or that does not open any more, is out of our reach; it is kept until its removal has ended at Plaid.
 */
const useless: ReadonlySet<FailureType> = new Set([
  'ITEM_GONE',
  'PERMISSION_REVOKED',
  'TOKEN_REFUSED',
  'SECRET_UNREADABLE',
]);

const isNotTheirs = (error: unknown): boolean =>
  error instanceof Failure && error.type === 'INVALID_PUBLIC_TOKEN';

function warningsOf({ dropped }: Admitted, mainAccountUnknown: boolean): LinkWarning[] {
  return [
    ...(mainAccountUnknown ? ['main_account_unknown' as const] : []),
    ...(dropped.length > 0 ? ['accounts_dropped' as const] : []),
  ];
}

/** Of a fresh Item: its first update meets them again, and begins its episode. */
const loginErrors = ['LOGIN_REQUIRED', 'CONSENT_REQUIRED', 'BANK_UNSUPPORTED'] as const;

const storeTries = 10;
const storePauseMs = 500;

const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

export function linkActivities(deps: ActivityDeps) {
  const { plaid, directory, institutions, secrets, links, items, gateway, crashPoint } = deps;

  async function requireLink(tokenHash: string): Promise<LinkRow> {
    const row = await links.get(tokenHash);
    if (row === null) throw new Failure('BAD_REQUEST', 'no link is stored under this hash');
    return row;
  }

  /**
   * Where the same accounts are known at another institution, the bank may have got another id: Plaid is asked which one it has
   * now. That it cannot tell is no reason to refuse a link.
   */
  async function learnAliases(
    userId: string,
    institutionId: string,
    accounts: AccountIdentity[],
    except: string | null,
  ): Promise<void> {
    const lookalikes = await links.findLookalikes(userId, institutionId, accounts, except);
    for (const known of lookalikes.length === 0 ? [] : [institutionId, ...lookalikes]) {
      const askedAt = await institutions.now();
      const answer = await directory.get(known).catch((error: unknown) => {
        if (error instanceof Failure) return null;
        throw error;
      });
      if (answer !== null && answer.institution_id !== known) await institutions.save(known, askedAt, answer);
    }
  }

  /** An Item may have had no application any more, and was not mined: its workflow reads the row again. Plaid is asked for nothing. */
  const signalJoined = (itemId: string, userId: string): Promise<void> =>
    gateway.signalItem(itemId, userId, { kind: 'foundDue' });

  /** Duplicate candidates that `/item/get` calls broken: those are replaced, not protected. */
  async function brokenAmong(
    row: LinkRow,
    institutionId: string | null,
    accounts: AccountIdentity[],
    except: string | null,
  ): Promise<{ broken: DuplicateCandidate[]; healthy: DuplicateCandidate[] }> {
    const found = { broken: [] as DuplicateCandidate[], healthy: [] as DuplicateCandidate[] };
    if (institutionId === null || accounts.length === 0 || row.allow_duplicate) return found;
    await learnAliases(row.user_id, institutionId, accounts, except);
    const candidates = await links.findDuplicates(row.user_id, institutionId, accounts, except);
    for (const candidate of candidates) {
      const broken = await withToken(deps, candidate, (token) => plaid.getItem(token)).then(
        // What no login mends (its bank is down, or out of Plaid's reach) is no reason to give way.
        ({ error }) =>
          error !== null && healthOf({ error }).kind === 'broken' && !isUnsupported(error.error_code),
        (error: unknown) => {
          if (error instanceof Failure && useless.has(error.type)) return true;
          throw error;
        },
      );
      (broken ? found.broken : found.healthy).push(candidate);
    }
    return found;
  }

  /**
   * Whether the Item lives here. Asked for a while, and rejects when nobody knows: a commit whose answer was lost may have
   * stored it, and another worker may have made it the user's since.
   */
  async function isHeld(itemId: string): Promise<boolean> {
    for (let attempt = 1; ; attempt += 1) {
      try {
        return (await items.credentials(itemId, { forRemoval: true })) !== null;
      } catch (error) {
        if (attempt === storeTries) throw error;
        await pause(storePauseMs);
      }
    }
  }

  /**
   * The answer is the only copy of the access token: it is stored, or the Item is removed again where it certainly is not stored.
   * An Item of which nobody knows is left alone; the alert of a lost exchange names it.
   */
  async function storeOrUndo(
    tokenHash: string,
    exchanged: { accessToken: string; itemId: string },
  ): Promise<void> {
    let last: unknown;
    for (let attempt = 0; attempt < storeTries; attempt += 1) {
      try {
        const sealed = await secrets.seal(exchanged.accessToken, secretContext.accessToken(exchanged.itemId));
        await links.storeExchanged(tokenHash, { itemId: exchanged.itemId, accessToken: sealed });
        return;
      } catch (error) {
        last = error;
        // No repeat makes it this user's.
        if (isNotTheirs(error)) break;
        await pause(storePauseMs);
      }
    }
    // Link's update mode hands out public tokens of Items that live here already: those are never removed for it.
    if (!(await isHeld(exchanged.itemId))) await plaid.removeItem(exchanged.accessToken);
    throw last;
  }

  return {
    async loadLink(input: { tokenHash: string }): Promise<LinkProgress> {
      const row = await requireLink(input.tokenHash);
      return { state: row.state, userId: row.user_id, itemId: row.item_id, outcome: row.outcome };
    },

    /**
     * The duplicate guard on Link's metadata, before anything is exchanged. An application that does not see the Item which is found
     * joins it, and its link has ended (`ended`: read the row again). Safe to repeat.
     */
    async guardLink(input: { tokenHash: string }): Promise<{ duplicateOf: string | null; ended?: true }> {
      const { tokenHash } = input;
      return untilItStands(async () => {
        const row = await requireLink(tokenHash);
        // An earlier attempt has joined an Item; whether it has told its workflow is not known.
        if (row.outcome?.kind === 'linked') await signalJoined(row.outcome.item_id, row.user_id);
        if (row.state !== 'received') return { duplicateOf: null, ended: true };
        const { healthy } = await brokenAmong(row, row.institution_id, row.accounts.map(identityOf), null);
        const found = healthy[0];
        if (found === undefined) return { duplicateOf: null };
        switch (await links.join(tokenHash, found.itemId)) {
          case 'joined':
            await signalJoined(found.itemId, row.user_id);
            return { duplicateOf: null, ended: true };
          case 'finished':
            return { duplicateOf: null, ended: true };
          case 'duplicate':
            return { duplicateOf: found.itemId };
          case 'unproven':
            return { duplicateOf: null };
          case 'moved':
            return 'moved';
        }
      });
    },

    /**
     * Exchanges the public token and stores the Item. One attempt at Plaid for ever: `exchanging` is committed before the
     * call, and a row that is found `exchanging` is never called for again.
     */
    async exchangePublicToken(input: { tokenHash: string }): Promise<ExchangeResult> {
      const { tokenHash } = input;
      // Who cannot seal the access token must not ask for it.
      await secrets.seal('', secretContext.accessToken('probe'));
      const begun = await links.beginExchange(tokenHash);
      if (begun === null) return { kind: 'settled' };
      const publicToken = await secrets
        .open(begun.publicToken, secretContext.publicToken(tokenHash))
        .catch(async (error: unknown) => {
          await links.abandonExchange(tokenHash);
          throw error;
        });
      crashPoint('link.beforeExchange');
      const exchanged = await plaid.exchangePublicToken(publicToken).catch(async (error: unknown) => {
        if (error instanceof Failure && !error.outcomeUnknown) {
          await links.abandonExchange(tokenHash);
          const plaidError = error.upstream ?? null;
          if (error.type === 'INVALID_PUBLIC_TOKEN') {
            return { kind: 'invalid_public_token' as const, plaid: plaidError };
          }
          if (error.type === 'BAD_REQUEST' || error.type === 'MISCONFIGURED') {
            return { kind: 'refused' as const, plaid: plaidError };
          }
        }
        throw error;
      });
      if ('kind' in exchanged) return { kind: 'refused', outcome: exchanged };
      crashPoint('link.afterExchange');
      try {
        await storeOrUndo(tokenHash, exchanged);
      } catch (error) {
        if (!isNotTheirs(error)) throw error;
        await links.abandonExchange(tokenHash);
        return { kind: 'refused', outcome: { kind: 'invalid_public_token', plaid: null } };
      }
      crashPoint('link.afterStore');
      return { kind: 'exchanged', itemId: exchanged.itemId };
    },

    /**
     * An exchange whose answer is lost: an Item may live at Plaid that nobody can reach. Reported, never hidden. Null when the answer
     * came after all: read the row again.
     */
    async reportLostExchange(input: { tokenHash: string }): Promise<LinkOutcome | null> {
      return links.reportLost(input.tokenHash);
    },

    /**
     * Makes the exchanged Item the user's: duplicate guard with the Item's own accounts under the user's lock, institution,
     * main account, user active. Safe to repeat.
     */
    async admitItem(input: { tokenHash: string }): Promise<AdmitResult> {
      const row = await requireLink(input.tokenHash);
      const itemId = row.item_id;
      if (itemId === null) throw new Failure('BAD_REQUEST', 'the link has no Item yet');
      const credentials = await items.credentials(itemId, { forRemoval: true });
      if (credentials === null) return { kind: 'gone', plaid: null };
      const ask = <T>(call: (token: string) => Promise<T>) => withToken(deps, credentials, call);
      // A link token that was made elsewhere may have carried another address for webhooks.
      const view = await withToken(deps, credentials, (token) =>
        askItem(deps, credentials.itemId, token),
      ).catch((error: unknown) => {
        if (error instanceof Failure && error.type === 'ITEM_GONE') return error;
        throw error;
      });
      if (view instanceof Failure) {
        // An earlier attempt made it the user's: its own workflow says what became of it.
        const admitted = await links.admitted(input.tokenHash, itemId);
        return admitted
          ? { ...admitted, warnings: warningsOf(admitted, false) }
          : { kind: 'gone', plaid: view.upstream ?? null };
      }
      const listed = ask((token) => plaid.getAccounts(token));
      const answer = await listed.catch((error: unknown): PlaidAccount[] => {
        // A fresh Item whose product calls fail is still the user's Item; its accounts come with its first update.
        const later: ReadonlySet<FailureType> = new Set<FailureType>([
          'NOT_READY',
          'PRODUCT_UNAVAILABLE',
          ...loginErrors,
        ]);
        if (error instanceof Failure && later.has(error.type)) return [];
        throw error;
      });
      const { accounts } = listedAccounts(answer, []);
      const identities =
        accounts.length > 0
          ? accounts.map((account) => ({ ...identityOf(account), account_id: account.account_id }))
          : row.accounts.map((account) => ({ ...identityOf(account), account_id: account.id ?? null }));
      const institutionId = view.institution_id ?? row.institution_id;
      const wanted = row.main_account_id;
      const known = wanted !== null && accounts.some((account) => account.account_id === wanted);
      const admitted = await untilItStands(async () => {
        const { broken } = await brokenAmong(row, institutionId, identities, itemId);
        const end = await links.admit({
          tokenHash: input.tokenHash,
          itemId,
          institutionId,
          institutionName: view.institution_name,
          consentExpiresAt: view.consent_expiration_time,
          mainAccountId: known ? wanted : defaultMainAccount(accounts),
          accounts: identities,
          replaceable: broken,
        });
        return end.kind === 'moved' ? 'moved' : end;
      });
      if (admitted.kind === 'joined') await signalJoined(admitted.itemId, row.user_id);
      if (admitted.kind !== 'admitted') return admitted;
      return { ...admitted, warnings: warningsOf(admitted, wanted !== null && !known) };
    },

    /** Removes an Item at Plaid that never became the user's (it was linked twice, say). Safe to repeat. */
    async discardItem(input: { tokenHash: string }): Promise<void> {
      const row = await requireLink(input.tokenHash);
      // Committed first: from here on no late attempt can make it the user's.
      if (row.item_id === null || !(await links.beginDiscard(row.item_id))) return;
      const credentials = await items.credentials(row.item_id, { forRemoval: true });
      if (credentials !== null) {
        await withToken(deps, credentials, (token) => plaid.removeItem(token));
      }
      await links.discardItem(row.item_id);
    },

    /** Starts the Item's workflow and those of the Items that it replaces. From an activity: they are no children. */
    async startItem(input: { itemId: string; userId: string; replaced: string[] }): Promise<void> {
      await gateway.signalItem(input.itemId, input.userId, { kind: 'linked' });
      for (const old of input.replaced) {
        await gateway.signalItem(old, input.userId, { kind: 'removalRequested' });
      }
    },

    /** Stores how the link ended; the first outcome stays and is returned. */
    async finishLink(input: { tokenHash: string; outcome: LinkOutcome }): Promise<LinkOutcome> {
      return links.finish(input.tokenHash, input.outcome);
    },
  };
}
