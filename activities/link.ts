import { setTimeout as pause } from 'node:timers/promises';
import type { AccountIdentity } from '../domain/mining/accounts.js';
import { defaultMainAccount, identityOf, unionOfAccounts } from '../domain/mining/accounts.js';
import { listedAccounts } from '../domain/mining/listedAccounts.js';
import { Failure } from '../domain/failures.js';
import type { UpstreamError } from '../domain/failures.js';
import { secretContext } from '../domain/ids.js';
import { askSurely } from '../domain/item/askSurely.js';
import { consentOf } from '../domain/item/health.js';
import { beginsEpisode, failureTypeOf, isGone, isOfInstitution } from '../domain/plaidErrors.js';
import type { PlaidAccount, PlaidItemView } from '../domain/plaid.js';
import type {
  Admitted,
  DuplicateCandidate,
  Joined,
  LinkOutcome,
  LinkRow,
  LinkWarning,
} from '../domain/ports/links.js';
import type { ItemSignal } from '../domain/ports/gateway.js';
import type { Sealed } from '../domain/ports/secrets.js';
import { untilItStands } from '../domain/untilItStands.js';
import { askItem } from '../domain/webhookAddress.js';
import type { ActivityDeps } from './deps.js';
import { alertOperators, withToken } from './itemToken.js';
import { askCandidate } from './linkCandidates.js';
import { raiseRefused } from './signalEach.js';
import { removeAtPlaid } from './removeAtPlaid.js';

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
  /** Plaid refused for what operators alone can mend: the public token is as good as it was. */
  | { kind: 'misconfigured'; plaid: UpstreamError | null }
  /** Not in a state to be exchanged: read the row again. */
  | { kind: 'settled' };

export type AdmitResult =
  | ({ kind: 'admitted'; replaced: string[]; dropped?: string[]; warnings: LinkWarning[] } & Pick<
      Admitted,
      'connection_id' | 'joined' | 'updated'
    >)
  /** Connected with an Item that was there: the new one is to be discarded. */
  | Joined
  | { kind: 'duplicate'; itemId: string }
  /** Everything of the user is to be deleted. */
  | { kind: 'user_being_erased' }
  /** Removed at Plaid, or discarded here, before it became the user's; or it is to be discarded, since Plaid will not say which accounts it has. */
  | { kind: 'gone'; plaid: UpstreamError | null };

const isNotTheirs = (error: unknown): boolean =>
  error instanceof Failure && error.type === 'INVALID_PUBLIC_TOKEN';

function warningsOf({ dropped }: Admitted, mainAccountUnknown: boolean): LinkWarning[] {
  return [
    ...(mainAccountUnknown ? ['main_account_unknown' as const] : []),
    ...(dropped.length > 0 ? ['accounts_dropped' as const] : []),
  ];
}

/** This client may not use the Item's bank: operators mend that, and it may take them days. */
const isBankRefused = (failure: Failure): boolean =>
  failure.type === 'MISCONFIGURED' && isOfInstitution(failure);

/** Failures of a fresh Item's products that no waiting mends: it is the user's all the same, and its first update meets them again. */
const isLasting = (failure: Failure): boolean => {
  const { type } = failure;
  return (
    type === 'NOT_READY' || type === 'PRODUCT_UNAVAILABLE' || beginsEpisode(type) || isBankRefused(failure)
  );
};

/** For so long an Item that was exchanged waits for what Plaid does not answer of others, or of its accounts: its user waits, too. */
const patienceMs = 12_000;
/** A link that fails for so long is told to operators: its public token dies after half an hour. */
const lateAfterMs = 600_000;

/** So long Plaid takes a public token. */
const publicTokenMs = 30 * 60_000;

const storeTries = 10;
const storePauseMs = 500;

export function linkActivities(deps: ActivityDeps) {
  const { plaid, directory, institutions, secrets, links, items, alerts, gateway, crashPoint } = deps;
  const { reportUnexpected } = deps;

  async function requireLink(tokenHash: string): Promise<LinkRow> {
    const row = await links.get(tokenHash);
    if (row === null) throw new Failure('BAD_REQUEST', 'no link is stored under this hash');
    return row;
  }

  /** Where the same accounts are known of Items whose bank Plaid had not told when they were linked, Plaid is asked for it. */
  async function learnBanks(
    userId: string,
    institutionId: string,
    accounts: AccountIdentity[],
    except: string | null,
  ): Promise<void> {
    for (const item of await links.findUnplaced(userId, institutionId, accounts, except)) {
      const view = await withToken(deps, item, (token) => plaid.getItem(token)).catch((error: unknown) => {
        if (error instanceof Failure) return null;
        throw error;
      });
      if (view !== null) await items.noteConsent(item.itemId, item.seen, consentOf(view));
    }
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

  /**
   * Signals an Item for what stands in its row. One that takes no signal any more (its history is full, say) keeps no link from its end: the
   * sweep finds what is due, and operators are told.
   */
  async function signalItem(itemId: string, userId: string, signal: ItemSignal): Promise<void> {
    try {
      await gateway.signalItem(itemId, userId, signal);
    } catch (error) {
      if (!(error instanceof Failure && error.type === 'ORCHESTRATOR_REFUSED')) throw error;
      reportUnexpected('link', error);
      await raiseRefused(alerts, { key: itemId, itemId, kinds: ['link'] });
    }
  }

  /** An Item may have had no application any more, and was not mined: its workflow reads the row again. Plaid is asked for nothing. */
  const signalJoined = (itemId: string, userId: string): Promise<void> =>
    signalItem(itemId, userId, { kind: 'foundDue' });

  /** How the Items are that seem to share one of the accounts. `unknown`: Plaid does not say, for now. */
  async function candidatesOf(
    row: LinkRow,
    institutionId: string | null,
    accounts: AccountIdentity[],
    except: string | null,
  ) {
    const found = {
      broken: [] as DuplicateCandidate[],
      healthy: [] as DuplicateCandidate[],
      gone: [] as DuplicateCandidate[],
      revoked: [] as DuplicateCandidate[],
      unknown: [] as Failure[],
    };
    if (institutionId === null || accounts.length === 0 || row.allow_duplicate) return found;
    await learnBanks(row.user_id, institutionId, accounts, except);
    await learnAliases(row.user_id, institutionId, accounts, except);
    for (const candidate of await links.findDuplicates(row.user_id, institutionId, accounts, except)) {
      const health = await askCandidate(deps, candidate);
      if (health instanceof Failure) found.unknown.push(health);
      else found[health].push(candidate);
    }
    return found;
  }

  /** A link that goes on failing is told to operators; the alert goes with its end. */
  async function noteDelay(tokenHash: string, error: unknown): Promise<void> {
    const upstream = error instanceof Failure ? error.upstream : undefined;
    await links.raiseStuck(tokenHash, lateAfterMs, {
      type: error instanceof Failure ? error.type : 'UNEXPECTED',
      error_type: upstream?.error_type ?? null,
      error_code: upstream?.error_code ?? null,
    });
  }

  /** Does a step of a link; that it fails for long is told, whatever it fails of. */
  async function step<T>(tokenHash: string, work: () => Promise<T>): Promise<T> {
    try {
      return await work();
    } catch (error) {
      // What it has failed of is the weightier word.
      await noteDelay(tokenHash, error).catch(() => undefined);
      throw error;
    }
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
    if (!(await isHeld(exchanged.itemId))) await removeAtPlaid(plaid, exchanged.accessToken);
    throw last;
  }

  async function exchange(tokenHash: string): Promise<ExchangeResult> {
    // Who cannot seal the access token must not ask for it.
    await secrets.seal('', secretContext.accessToken('probe'));
    const begun = await links.beginExchange(tokenHash);
    if (begun === null) return { kind: 'settled' };
    const publicToken = await secrets
      .open(begun.publicToken, secretContext.publicToken(tokenHash))
      .catch(async (error: unknown) => {
        await links.abandonExchange(tokenHash);
        const isUnreadable = error instanceof Failure && error.type === 'SECRET_UNREADABLE';
        if (isUnreadable && (await links.age(tokenHash)) >= publicTokenMs) return null;
        throw error;
      });
    // Whoever gives its key again is late.
    if (publicToken === null)
      return { kind: 'refused', outcome: { kind: 'invalid_public_token', plaid: null } };
    crashPoint('link.beforeExchange');
    const exchanged = await plaid.exchangePublicToken(publicToken).catch(async (error: unknown) => {
      if (error instanceof Failure && !error.outcomeUnknown) {
        await links.abandonExchange(tokenHash);
        const plaidError = error.upstream ?? null;
        if (error.type === 'INVALID_PUBLIC_TOKEN') {
          return { kind: 'invalid_public_token' as const, plaid: plaidError };
        }
        if (error.type === 'BAD_REQUEST') return { kind: 'refused' as const, plaid: plaidError };
        await alertOperators(alerts, null, error);
        if (error.type === 'MISCONFIGURED') {
          await noteDelay(tokenHash, error);
          return { kind: 'misconfigured' as const, plaid: plaidError };
        }
      }
      throw error;
    });
    if ('kind' in exchanged)
      return exchanged.kind === 'misconfigured' ? exchanged : { kind: 'refused', outcome: exchanged };
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
  }

  const isOutOfPatience = async (tokenHash: string): Promise<boolean> =>
    (await links.inState(tokenHash)) >= patienceMs;

  /**
   * What Plaid says of the exchanged Item; null: it is the user's, and lacks a login, or its bank is not to be had, which the Item shows. A
   * Failure: Plaid has it no more.
   */
  async function viewOf(
    tokenHash: string,
    row: LinkRow,
    credentials: { itemId: string; accessToken: Sealed },
  ): Promise<PlaidItemView | null | Failure> {
    // A link token that was made elsewhere may have carried another address for webhooks.
    const ask = () => withToken(deps, credentials, (token) => askItem(deps, credentials.itemId, token));
    const askOnce = (): Promise<PlaidItemView | null | Failure> =>
      askSurely(ask, () => pause(deps.policy.doubtPause)).catch(async (error: unknown) => {
        if (!(error instanceof Failure)) throw error;
        if (beginsEpisode(error.type)) return isGone(error.type) ? error : null;
        if (isBankRefused(error)) return null;
        // Without a bank nobody can tell a duplicate: that it is up again is waited for.
        const isKnown = isOfInstitution(error) && row.institution_id !== null;
        if (isKnown && (await isOutOfPatience(tokenHash))) return null;
        throw error;
      });
    const view = await askOnce();
    if (view instanceof Failure || (view?.institution_id ?? row.institution_id) !== null) return view;
    // As above.
    await pause(deps.policy.doubtPause);
    return askOnce();
  }

  /**
   * Its accounts by Plaid; none, and why, where Plaid does not give them in time: its first update brings them. What lacks some, as far as
   * can be seen, is asked for once more: after one odd answer nobody would know a duplicate. No more is one refusal believed.
   */
  async function accountsOf(
    tokenHash: string,
    credentials: { itemId: string; accessToken: Sealed },
  ): Promise<{ accounts: PlaidAccount[]; refusal: Failure }> {
    let accounts: PlaidAccount[] = [];
    const nothing = new Failure('UPSTREAM_DOWN', 'Plaid lists no account of the Item');
    let refusal = nothing;
    /** Resolves to whether the list can be read whole. */
    const ask = async (): Promise<boolean> => {
      try {
        const listed = await withToken(deps, credentials, (token) => plaid.getAccounts(token));
        const { accounts: named, unreadable } = listedAccounts(listed, []);
        accounts = unionOfAccounts(named, accounts);
        refusal = nothing;
        return unreadable === 0;
      } catch (error) {
        if (!(error instanceof Failure && isLasting(error))) throw error;
        refusal = error;
        return false;
      }
    };
    try {
      if (await ask()) return { accounts, refusal };
      const first = refusal;
      await pause(deps.policy.doubtPause);
      await ask();
      // A list of nothing says nothing, however often: it is waited for as for one that is not given. So it is after two refusals that differ.
      const isTwice = isLasting(refusal) && refusal.type === first.type;
      if (accounts.length === 0 && !isTwice) throw nothing;
    } catch (error) {
      if (!(error instanceof Failure && (await isOutOfPatience(tokenHash)))) throw error;
      refusal = error;
    }
    return { accounts, refusal };
  }

  /**
   * What a link comes to whose Item is no more. One that was the user's was linked all the same, by an earlier attempt or before its
   * update mode: what became of it since, its own row says.
   */
  async function goneOf(
    tokenHash: string,
    itemId: string,
    plaidError: UpstreamError | null,
  ): Promise<AdmitResult> {
    const admitted = await links.admitted(tokenHash, itemId);
    return admitted === null
      ? { kind: 'gone', plaid: plaidError }
      : { ...admitted, warnings: warningsOf(admitted, false) };
  }

  async function admit(tokenHash: string): Promise<AdmitResult> {
    const row = await requireLink(tokenHash);
    const itemId = row.item_id;
    if (itemId === null) throw new Failure('BAD_REQUEST', 'the link has no Item yet');
    const credentials = await items.credentials(itemId, { forRemoval: true });
    if (credentials === null) return goneOf(tokenHash, itemId, null);
    // Whatever Plaid says of it: an erasure does not wait for that.
    if (await links.isUnwanted(itemId)) return { kind: 'user_being_erased' };
    const view = await viewOf(tokenHash, row, credentials);
    if (view instanceof Failure) return goneOf(tokenHash, itemId, view.upstream ?? null);
    const { accounts, refusal } = await accountsOf(tokenHash, credentials);
    const identities =
      accounts.length > 0
        ? accounts.map((account) => ({ ...identityOf(account), account_id: account.account_id }))
        : row.accounts.map((account) => ({ ...identityOf(account), account_id: account.id ?? null }));
    const institutionId = view?.institution_id ?? row.institution_id;
    const said = view?.error == null ? null : failureTypeOf(view.error);
    const saidOfAccounts = accounts.length > 0 ? null : refusal.type;
    const wanted = row.main_account_id;
    const known = wanted !== null && accounts.some((account) => account.account_id === wanted);
    const admitted = await untilItStands(async () => {
      const found = await candidatesOf(row, institutionId, identities, itemId);
      const { broken, healthy, gone, revoked, unknown } = found;
      // In the end those of whom Plaid does not say how they are count as healthy.
      if (unknown[0] !== undefined && !(await isOutOfPatience(tokenHash))) throw unknown[0];
      const end = await links.admit({
        tokenHash,
        itemId,
        institutionId,
        institutionName: view?.institution_name ?? null,
        consentExpiresAt: view?.consent_expiration_time ?? null,
        mainAccountId: known ? wanted : defaultMainAccount(accounts),
        accounts: identities,
        ...(accounts.length === 0 ? { byWordAlone: true as const } : {}),
        replaceable: [...broken, ...gone, ...revoked],
        healthy,
        gone: [...gone, ...revoked].map((other) => other.itemId),
        revoked: revoked.map((other) => other.itemId),
        isRevoked: [said, saidOfAccounts].includes('PERMISSION_REVOKED'),
        seen: credentials.seen,
      });
      return end.kind === 'moved' ? 'moved' : end;
    }).catch((error: unknown) => {
      // It is to be discarded: its link had joined another Item, and has lost that since. Or it was removed just now.
      if (error instanceof Failure && error.type === 'ITEM_GONE') return goneOf(tokenHash, itemId, null);
      throw error;
    });
    if (admitted.kind === 'gone' || 'warnings' in admitted) return admitted;
    if (admitted.kind === 'unproven') {
      if (!isLasting(refusal) || refusal.type === 'NOT_READY') throw refusal;
      return { kind: 'gone', plaid: refusal.upstream ?? null };
    }
    if (admitted.kind === 'joined') await signalJoined(admitted.itemId, row.user_id);
    if (admitted.kind !== 'admitted') return admitted;
    return { ...admitted, warnings: warningsOf(admitted, wanted !== null && !known) };
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
      const guard = async (): Promise<{ duplicateOf: string | null; ended?: true } | 'moved'> => {
        const row = await requireLink(tokenHash);
        // An earlier attempt has joined an Item; whether it has told its workflow is not known.
        if (row.outcome?.kind === 'linked') await signalJoined(row.outcome.item_id, row.user_id);
        if (row.state !== 'received') return { duplicateOf: null, ended: true };
        // Of whom Plaid does not say how they are, the exchange does not wait: its Item is not admitted beside them unasked.
        const { healthy } = await candidatesOf(row, row.institution_id, row.accounts.map(identityOf), null);
        for (const found of healthy) {
          switch (await links.join(tokenHash, found.itemId, found.seen)) {
            case 'joined':
              await signalJoined(found.itemId, row.user_id);
              return { duplicateOf: null, ended: true };
            case 'finished':
              return { duplicateOf: null, ended: true };
            case 'duplicate':
              return { duplicateOf: found.itemId };
            case 'unproven':
              continue;
            case 'moved':
              return 'moved';
          }
        }
        return { duplicateOf: null };
      };
      return step(tokenHash, () => untilItStands(guard));
    },

    /**
     * Exchanges the public token and stores the Item. One attempt at Plaid for ever: `exchanging` is committed before the
     * call, and a row that is found `exchanging` is never called for again.
     */
    async exchangePublicToken(input: { tokenHash: string }): Promise<ExchangeResult> {
      const { tokenHash } = input;
      return step(tokenHash, () => exchange(tokenHash));
    },

    /**
     * An exchange whose answer is lost: an Item may live at Plaid that nobody can reach. Reported, never hidden. Null when the answer
     * came after all: read the row again.
     */
    async reportLostExchange(input: { tokenHash: string }): Promise<LinkOutcome | null> {
      return step(input.tokenHash, () => links.reportLost(input.tokenHash));
    },

    /**
     * Makes the exchanged Item the user's: duplicate guard with the Item's own accounts under the user's lock, institution,
     * main account, user active. Safe to repeat.
     */
    async admitItem({ tokenHash }: { tokenHash: string }): Promise<AdmitResult> {
      return step(tokenHash, () => admit(tokenHash));
    },

    /** Removes an Item at Plaid that never became the user's (it was linked twice, say). Safe to repeat. */
    async discardItem({ tokenHash }: { tokenHash: string }): Promise<void> {
      const { item_id: itemId } = await requireLink(tokenHash);
      // Committed first: from here on no late attempt can make it the user's.
      if (itemId === null || !(await links.beginDiscard(itemId))) return;
      const credentials = await items.credentials(itemId, { forRemoval: true });
      await step(tokenHash, async () => {
        if (credentials !== null) await withToken(deps, credentials, (token) => removeAtPlaid(plaid, token));
        await links.discardItem(itemId);
      });
    },

    /**
     * Starts the Item's workflow and those of the Items that it replaces. From an activity: they are no children. One whose user has been
     * through update mode may be repaired a moment later only, by `/item/get`.
     */
    async startItem(input: {
      tokenHash: string;
      itemId: string;
      userId: string;
      replaced: string[];
      updated?: true;
    }): Promise<void> {
      await step(input.tokenHash, async () => {
        const kind = input.updated === true ? 'relinked' : 'linked';
        await signalItem(input.itemId, input.userId, { kind });
        for (const old of input.replaced) {
          await signalItem(old, input.userId, { kind: 'removalRequested' });
        }
      });
    },

    /** Stores how the link ended; the first outcome stays and is returned. */
    async finishLink(input: { tokenHash: string; outcome: LinkOutcome }): Promise<LinkOutcome> {
      return step(input.tokenHash, () => links.finish(input.tokenHash, input.outcome));
    },
  };
}
