import { hearCancellation } from './cancellation.js';
import { connectionEndActivities } from './connectionEnds.js';
import { deadEndActivities } from './deadEnds.js';
import type { ActivityDeps } from './deps.js';
import { atTheEdge } from './edge.js';
import { endpointActivities } from './endpoints.js';
import { institutionActivities } from './institutions.js';
import { itemActivities } from './items.js';
import { itemWebhookActivities } from './itemWebhooks.js';
import { linkActivities } from './link.js';
import { loginActivities } from './logins.js';
import { publishActivities } from './publish.js';
import { retentionActivities } from './retention.js';
import { segmentActivities } from './segment.js';
import { sweepActivities } from './sweep.js';
import { transactionActivities } from './transactions.js';

/** What an activity waits for: Plaid, the stores, keys, streams, Temporal, Segment. A port that is forgotten here is a type error. */
const ports: Record<
  Exclude<
    keyof ActivityDeps,
    | 'policy'
    | 'webhookUrl'
    | 'staleAfterMs'
    | 'itemGraceMs'
    | 'plaidEnvironment'
    | 'crashPoint'
    | 'reportUnexpected'
  >,
  true
> = {
  plaid: true,
  directory: true,
  secrets: true,
  links: true,
  items: true,
  mining: true,
  commands: true,
  outbox: true,
  alerts: true,
  sweeps: true,
  connectionEnds: true,
  retention: true,
  idempotency: true,
  institutions: true,
  banks: true,
  logins: true,
  webhooks: true,
  streams: true,
  gateway: true,
  segments: true,
  segment: true,
  sending: true,
  sender: true,
};

/** All activities, by the names under which Temporal knows them: never renamed once released. */
export function createActivities(given: ActivityDeps) {
  const deps = hearCancellation(given, Object.keys(ports) as (keyof typeof ports)[]);
  const carriedThrough = linkActivities(given);
  return atTheEdge(
    {
      ...linkActivities(deps),
      // Carried to its end, whoever has given up: its answer is the only copy of the access token.
      exchangePublicToken: (input: { tokenHash: string }) => carriedThrough.exchangePublicToken(input),
      // These watch their time by themselves: what they have reached by then is worth keeping.
      ...publishActivities(given),
      ...segmentActivities(given),
      ...endpointActivities(given),
      ...sweepActivities(given),
      ...connectionEndActivities(deps),
      ...itemActivities(deps),
      ...itemWebhookActivities(deps),
      ...transactionActivities(deps),
      ...deadEndActivities(deps),
      ...loginActivities(deps),
      ...retentionActivities(deps),
      ...institutionActivities(deps),
    },
    deps.reportUnexpected,
  );
}

export type Activities = ReturnType<typeof createActivities>;
