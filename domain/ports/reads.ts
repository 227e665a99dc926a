import type { ConnectionScope } from '../exchange/connection.js';
import type { Bounds, Need, Refused, Viewer } from '../exchange/viewer.js';
import type { Phase } from '../item/state.js';
import type { Form } from '../mining/events.js';
import type { History } from '../mining/run.js';
import type { AskingCredentials, ItemCredentials } from './items.js';
import type { Page, PageKey, TextPage } from './pages.js';

export type ItemStatusName = 'ACTIVE' | 'ERROR' | 'REMOVED';

/** The item as clients see it. */
export interface ItemView {
  item_id: string;
  user_id: string;
  status: ItemStatusName;
  phase: Phase;
  institution_id: string | null;
  institution_name: string | null;
  main_account_id: string | null;
  /** `update_mode`: the user may end it in Link's update mode. */
  error: { error_type: string; error_code: string; since: string; update_mode: boolean } | null;
  history: History;
  /** `unavailable`: Plaid says that the Item has none; its accounts are kept up to date all the same. */
  transactions: 'available' | 'unavailable';
  /** Why nothing is read from the bank any more, whatever its health; null = it is read, or removed. */
  stopped: { reason: 'not_connected' | 'removal_requested'; since: string } | null;
  last_update_at: string | null;
  last_webhook_at: string | null;
  consent_expires_at: string | null;
  new_accounts_available: boolean;
  created_at: string;
  removed_at: string | null;
}

/** How complete the cached answer about an Item is. */
export interface ItemCompleteness {
  item_id: string;
  phase: Phase;
  history: History;
  as_of: string | null;
}

/**
 * The Items that a cached list draws from; what is not admitted (yet) is left out. Of a user without those that are removed, and those
 * that a new link has replaced: their accounts would stand there twice for as long as Plaid refuses their removal.
 */
export type ListedItems =
  | { itemId: string }
  | { itemIds: string[] }
  | { userId: string; includeRemoved: boolean };

/**
 * A page, and of the same moment the Items that the list draws from, in the order of their linking. `refused`: the one Item that
 * was asked for may not be read.
 */
export interface CachedPage extends TextPage {
  items: ItemCompleteness[];
  refused: Refused | null;
}

/** `from` and `to` (YYYY-MM-DD) inclusive. */
export type TransactionFilter = ListedItems & {
  from?: string | undefined;
  to?: string | undefined;
  account_id?: string | undefined;
  statuses: ('pending' | 'posted' | 'removed')[];
  format: Form;
};

/** `from` and `to` (YYYY-MM-DD) inclusive. */
export interface BalanceFilter {
  itemId: string;
  account_id?: string | undefined;
  from?: string | undefined;
  to?: string | undefined;
}

/**
 * What is read on behalf of an application. Each method shows what its viewer may see at that moment: an Item that it was never
 * connected with is absent, one that it may not read (any more) is refused, and lists over a user leave both out.
 */
export interface ReadStore {
  /** For a connected viewer the user exists with its first connection, and `items` counts what it may read. */
  user(
    viewer: Viewer,
    userId: string,
  ): Promise<{
    user_id: string;
    status: 'inactive' | 'active';
    activated_at: string | null;
    items: number;
  } | null>;
  /** Creates the user, inactive, unless it exists. Rejects with USER_BEING_ERASED. */
  ensureUser(userId: string): Promise<void>;
  item(viewer: Viewer, itemId: string, need: Need): Promise<ItemView | Refused | null>;
  items(
    viewer: Viewer,
    filter: { userId: string; statuses: ItemStatusName[] },
    limit: number,
    after: PageKey | null,
  ): Promise<Page<ItemView>>;
  /** Rows in the asked form; balances are null without their scope. Order: item, then account id. */
  accounts(
    viewer: Viewer,
    filter: ListedItems & { format: Form },
    limit: number,
    after: PageKey | null,
  ): Promise<CachedPage>;
  /** Rows in the asked form. Order: date descending, then id. */
  transactions(
    viewer: Viewer,
    filter: TransactionFilter,
    limit: number,
    after: PageKey | null,
  ): Promise<CachedPage>;
  /** An account's last balances of a day. Order: day descending, then account id. */
  balances(viewer: Viewer, filter: BalanceFilter, limit: number, after: PageKey | null): Promise<CachedPage>;
  /** Those of the Items that the viewer sees. */
  seenItems(viewer: Viewer, itemIds: string[]): Promise<Set<string>>;
  /** Whether the viewer may see all of an Item's accounts and transactions. */
  seesWhole(viewer: Viewer, itemId: string): Promise<boolean>;
  /** What is needed to ask Plaid of an Item. Null when it is absent, or its token was erased or its removal asked for. */
  asking(viewer: Viewer, itemId: string, need: Need): Promise<AskingCredentials | Refused | null>;
  /** What of Plaid's answer about an Item the viewer may see now; to be asked when the answer is there. */
  bounds(viewer: Viewer, itemId: string, scope: ConnectionScope): Promise<Bounds | Refused | null>;
  /**
   * The Item whose access token makes a link token in update mode, by the contract's pick; null = create. Items that no login
   * mends are left out, and those in `except`. `lostAccounts`: it has some that are shared no more. `asksConsent`: the user has to agree
   * to the products anew; `asksNumbers`: to the account numbers. `pickedAt` is by the database's clock.
   */
  pickForUpdateMode(
    viewer: Viewer,
    userId: string,
    itemId: string | null,
    except?: readonly string[],
  ): Promise<
    | (ItemCredentials & {
        newAccounts: boolean;
        lostAccounts: boolean;
        asksConsent: boolean;
        asksNumbers?: true;
        pickedAt: string;
      })
    | null
  >;
}
