/** Workflow ids, queue names and stream names are built and parsed here only. */
import { shortened } from './shortened.js';

/** Plaid's id of an Item; case-sensitive, as all of Plaid's ids. */
export type ItemId = string;

/** Temporal takes 1,000 bytes for a workflow's id, and an Item's id of 256 characters may have 1,024. */
const longestItemPart = 900;
const partOf = (itemId: ItemId): string => shortened(itemId, longestItemPart);

export const itemWorkflowId = (itemId: ItemId): string => `item/${partOf(itemId)}`;
export const historyWorkflowId = (itemId: ItemId): string => `item/${partOf(itemId)}/history`;
export const remineWorkflowId = (itemId: ItemId, number: number): string =>
  `item/${partOf(itemId)}/remine/${number}`;
export const linkWorkflowId = (tokenHash: string): string => `link/${tokenHash}`;
/** The check of a user's Items: asked for by an event of the stream, or by a request. */
export const loginWorkflowId = (eventId: string): string => `login/${eventId}`;
export const loginRequestWorkflowId = (requestId: string): string => `login-request/${requestId}`;
/** What sends an endpoint's deliveries. */
export const endpointWorkflowId = (endpointId: string): string => `endpoint/${endpointId}`;
/** The erasure of a user; it bears no name of the user's. */
export const erasureWorkflowId = (erasureId: string): string => `erasure/${erasureId}`;
export const SWEEP_SCHEDULE_ID = 'sweep';
export const INSTITUTIONS_SCHEDULE_ID = 'institutions';
export const CLEAN_UP_SCHEDULE_ID = 'clean-up';
export const INSTITUTION_STATUS_SCHEDULE_ID = 'institution-status';

export type WorkflowName =
  | { kind: 'item'; itemId: ItemId }
  | { kind: 'history'; itemId: ItemId }
  | { kind: 'remine'; itemId: ItemId; number: number }
  | { kind: 'link'; tokenHash: string }
  | { kind: 'endpoint'; endpointId: string }
  | { kind: 'erasure'; erasureId: string }
  | { kind: 'login'; eventId: string }
  | { kind: 'loginRequest'; requestId: string };

/** The inverse of the builders above; null for an id that is none of ours. An Item's id that was shortened stays so. */
export function parseWorkflowId(id: string): WorkflowName | null {
  const [head, body, tail, number, ...rest] = id.split('/');
  // An event's id is its sender's, slashes and all.
  if (head === 'login' && id !== 'login' && id !== 'login/') {
    return { kind: 'login', eventId: id.slice('login/'.length) };
  }
  if (!body || rest.length > 0) return null;
  if (head === 'link' && tail === undefined) return { kind: 'link', tokenHash: body };
  if (head === 'endpoint' && tail === undefined) return { kind: 'endpoint', endpointId: body };
  if (head === 'erasure' && tail === undefined) return { kind: 'erasure', erasureId: body };
  if (head === 'login-request' && tail === undefined) return { kind: 'loginRequest', requestId: body };
  if (head !== 'item') return null;
  if (tail === 'remine' && number !== undefined && /^[1-9]\d*$/.test(number)) {
    return { kind: 'remine', itemId: body, number: Number(number) };
  }
  if (number !== undefined) return null;
  if (tail === undefined) return { kind: 'item', itemId: body };
  return tail === 'history' ? { kind: 'history', itemId: body } : null;
}

/**
 * Task queues. Plaid's calls have queues of their own because the server limits a queue as a whole. `first` carries
 * `/transactions/sync` calls with an empty cursor, which Plaid limits apart. `link` carries what a waiting user wants. `events`
 * carries what waits for applications' endpoints, so that a slow one takes no place from mining.
 */
export const taskQueues = {
  core: 'sluice-core',
  plaid: 'sluice-plaid',
  plaidFirst: 'sluice-plaid-first',
  plaidLink: 'sluice-plaid-link',
  events: 'sluice-events',
} as const;

/** Secrets at rest, by the tables that hold them. */
export const sealedKinds = [
  'access tokens',
  'public tokens',
  'account numbers',
  'answers',
  'endpoint secrets',
  'previous endpoint secrets',
] as const;
export type SealedKind = (typeof sealedKinds)[number];

/** The additional data that binds a secret's ciphertext to the one row and column where it may stand. */
export const secretContext = {
  publicToken: (tokenHash: string): string => `links/${tokenHash}/public_token`,
  accessToken: (itemId: ItemId): string => `items/${itemId}/access_token`,
  accountNumbers: (itemId: ItemId, accountId: string): string => `account_numbers/${itemId}/${accountId}`,
  /** Of both secrets of an endpoint: a rotation moves one without opening it. */
  endpointSecret: (endpointId: string): string => `endpoints/${endpointId}/secret`,
  /** A key may hold any visible character, so JSON separates the parts. */
  answer: (applicationId: string, method: string, path: string, key: string): string =>
    `idempotency_keys/${JSON.stringify([applicationId, method, path, key])}`,
} as const;
