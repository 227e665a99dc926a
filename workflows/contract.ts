import { defineSearchAttributeKey, SearchAttributeType } from '@temporalio/common';
import { defineQuery, defineSignal, defineUpdate } from '@temporalio/workflow';
import type { StatusRound } from '../activities/institutions.js';
import type { InstitutionSync } from '../domain/institutions/sync.js';
import type { ItemState } from '../domain/item/state.js';
import type { CarriedState } from '../domain/item/upgrade.js';
import type { MiningRun, RunEnd, StepFailure } from '../domain/mining/run.js';
import { keyword } from '../domain/operatorTexts.js';
import type { ItemStatus } from '../domain/ports/gateway.js';
import type { LinkOutcome } from '../domain/ports/links.js';
import type { Cleaned, Perishable, Retention } from '../domain/retention.js';
import { searchAttributes } from '../domain/searchAttributes.js';
import type { WebhookKind } from '../domain/webhooks/webhookKind.js';

/** Names and shapes by which the workflows are reached. Wire names: never renamed once released. */

export interface LinkItemInput {
  tokenHash: string;
}
/** Waits for the link's outcome and returns it. */
export const linkOutcome = defineUpdate<LinkOutcome>('linkOutcome');

export interface ItemInput {
  itemId: string;
  /** The working copy, carried through continue-as-new; absent = read it from the database. */
  state?: CarriedState;
}
export const linked = defineSignal('linked');
export const webhookReceived = defineSignal<[{ webhook: WebhookKind }]>('webhookReceived');
export const foundDue = defineSignal('foundDue');
export const removalRequested = defineSignal('removalRequested');
export const relinked = defineSignal('relinked');
export const remineRequested = defineSignal<[{ number: number }]>('remineRequested');
export const historyEnded =
  defineSignal<[{ remine: boolean; end: RunEnd; calls: ItemState['calls'] }]>('historyEnded');
/** To a workflow that pages: somebody has reason to think that its next page can be had now. */
export const pageAsked = defineSignal('pageAsked');
/** The next page cannot be had before `notBefore`, ms since the epoch; no failure = now it can. */
export const historyHeldUp =
  defineSignal<[{ remine: boolean; failure: StepFailure | null; notBefore?: number }]>('historyHeldUp');
export const status = defineQuery<ItemStatus | null>('status');

export interface PageHistoryInput {
  itemId: string;
  userId: string;
  hasCursor: boolean;
  run: MiningRun;
  calls: ItemState['calls'];
  /** Updates in a row that have brought nothing before this one; absent = none, or it was begun by an older release. */
  polls?: number;
  /** Of the run before, when it continued as new while its page could not be had. */
  lastFailure?: StepFailure | null;
}

/** A remine pages as the history does, from the durable cursor and then from the empty one. */
export interface RemineItemInput extends PageHistoryInput {
  /** Plaid takes the durable cursor no more: there is nothing to be read from it first. */
  cursorLost: boolean;
}
export const progress = defineQuery<MiningRun>('progress');

export interface CheckUserInput {
  userId: string;
  /** How long Plaid may take for an Item, in milliseconds; null = as long as usual. */
  answerWithinMs: number | null;
}

export interface EndpointInput {
  endpointId: string;
}
/** Something is due at the endpoint. */
export const deliveriesDue = defineSignal('deliveriesDue');
export interface EraseUserInput {
  /** Not the user's id: the history of an erasure outlives what it erases. */
  erasureId: string;
}

export interface SweepInput {
  /** How long something may be due before the sweep takes it for forgotten, in milliseconds. */
  graceMs: number;
}

export interface SyncInstitutionsInput {
  /** Plaid's limit on calls of `/institutions/get`. */
  pagesPerMinute: number;
  /** The walk on its way, carried through continue-as-new; absent = a new one. */
  sync?: InstitutionSync;
}

export interface RefreshInstitutionStatusInput {
  /** Our share of Plaid's limit on calls of `/institutions/get_by_id`. */
  callsPerMinute: number;
  /** Carried through continue-as-new: when the round began (ISO 8601), and how far it has come. */
  round?: { since: string; place: StatusRound };
}

export interface CleanUpInput {
  keep: Retention;
  /** How far the run is, carried through continue-as-new; absent = at its beginning. */
  place?: {
    what: Perishable;
    after: string | null;
    cleaned: Cleaned;
    /** Kinds whose cleaning has failed; absent = none. */
    failed?: Perishable[];
  };
}

export const keys = {
  item: defineSearchAttributeKey(searchAttributes.item, SearchAttributeType.KEYWORD),
  user: defineSearchAttributeKey(searchAttributes.user, SearchAttributeType.KEYWORD),
  institution: defineSearchAttributeKey(searchAttributes.institution, SearchAttributeType.KEYWORD),
  phase: defineSearchAttributeKey(searchAttributes.phase, SearchAttributeType.KEYWORD),
  status: defineSearchAttributeKey(searchAttributes.status, SearchAttributeType.KEYWORD),
};

export const itemAttributes = (itemId: string, userId: string) => [
  { key: keys.item, value: keyword(itemId) },
  { key: keys.user, value: keyword(userId) },
];

/** Lower goes first, within and across Items of a queue: a waiting user, then news, then history. */
export const priorities = { waitingUser: 1, webhook: 2, backfill: 4, remine: 5 } as const;
