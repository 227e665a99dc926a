import { deadEndActivities } from './deadEnds.js';
import type { ActivityDeps } from './deps.js';
import { atTheEdge } from './edge.js';
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

/** All activities, by the names under which Temporal knows them: never renamed once released. */
export function createActivities(deps: ActivityDeps) {
  return atTheEdge(
    {
      ...linkActivities(deps),
      ...itemActivities(deps),
      ...itemWebhookActivities(deps),
      ...segmentActivities(deps),
      ...transactionActivities(deps),
      ...deadEndActivities(deps),
      ...loginActivities(deps),
      ...publishActivities(deps),
      ...sweepActivities(deps),
      ...retentionActivities(deps),
      ...institutionActivities(deps),
    },
    deps.reportUnexpected,
  );
}

export type Activities = ReturnType<typeof createActivities>;
