import { withDatabaseFailures } from './failures.js';
import { checkDatabase } from './readiness.js';
import type { Sql } from './rows.js';
import { alertStore } from './stores/alerts.js';
import { applicationStore } from './stores/applications.js';
import { bankPauseStore } from './stores/bankPauses.js';
import { connectionStore } from './stores/connections.js';
import { deliveryStore } from './stores/deliveries.js';
import { deliverySender } from './stores/deliverySender.js';
import { endpointStore } from './stores/endpoints.js';
import { erasureStore } from './stores/erasures.js';
import { connectionEndStore } from './stores/connectionEnds.js';
import { institutionStore } from './stores/institutions.js';
import { itemCommandStore } from './stores/itemCommands.js';
import { idempotencyStore } from './stores/idempotency.js';
import { changeStore } from './stores/changes.js';
import { eventStore } from './stores/events.js';
import { figuresStore } from './stores/figures.js';
import { floatStore } from './stores/floats.js';
import { itemStore } from './stores/items.js';
import { linkStore } from './stores/links.js';
import { loginStore } from './stores/logins.js';
import { miningStore } from './stores/mining.js';
import { numbersStore } from './stores/numbers.js';
import { outboxStore } from './stores/outbox.js';
import { portalStore } from './stores/portal.js';
import { readStore } from './stores/reads.js';
import { restoreStore } from './stores/restores.js';
import { retentionStore } from './stores/retention.js';
import { sealedRowStore } from './stores/sealedRows.js';
import { segmentStore } from './stores/segment.js';
import { sweepStore } from './stores/sweep.js';
import { userExportStore } from './stores/userExport.js';
import { userEventStore } from './stores/userEvents.js';
import { webhookKeyStore } from './stores/webhookKeys.js';
import { webhookStore } from './stores/webhooks.js';

/** All stores on one pool of connections. Their methods reject with Failures. */
export function createStores(sql: Sql) {
  return {
    links: withDatabaseFailures(linkStore(sql)),
    items: withDatabaseFailures(itemStore(sql)),
    itemCommands: withDatabaseFailures(itemCommandStore(sql)),
    numbers: withDatabaseFailures(numbersStore(sql)),
    mining: withDatabaseFailures(miningStore(sql)),
    outbox: withDatabaseFailures(outboxStore(sql)),
    alerts: withDatabaseFailures(alertStore(sql)),
    banks: withDatabaseFailures(bankPauseStore(sql)),
    connections: withDatabaseFailures(connectionStore(sql)),
    changes: withDatabaseFailures(changeStore(sql)),
    events: withDatabaseFailures(eventStore(sql)),
    erasures: withDatabaseFailures(erasureStore(sql)),
    exports: withDatabaseFailures(userExportStore(sql)),
    floats: withDatabaseFailures(floatStore(sql)),
    figures: withDatabaseFailures(figuresStore(sql)),
    logins: withDatabaseFailures(loginStore(sql)),
    userEvents: withDatabaseFailures(userEventStore(sql)),
    webhooks: withDatabaseFailures(webhookStore(sql)),
    /** Of one Plaid, by the origin of its address. */
    webhookKeysOf: (plaid: string) => withDatabaseFailures(webhookKeyStore(sql, plaid)),
    sealedRows: withDatabaseFailures(sealedRowStore(sql)),
    segment: withDatabaseFailures(segmentStore(sql)),
    restores: withDatabaseFailures(restoreStore(sql)),
    retention: withDatabaseFailures(retentionStore(sql)),
    sweep: withDatabaseFailures(sweepStore(sql)),
    connectionEnds: withDatabaseFailures(connectionEndStore(sql)),
    reads: withDatabaseFailures(readStore(sql)),
    portal: withDatabaseFailures(portalStore(sql)),
    institutions: withDatabaseFailures(institutionStore(sql)),
    applications: withDatabaseFailures(applicationStore(sql)),
    endpoints: withDatabaseFailures(endpointStore(sql)),
    deliveries: withDatabaseFailures(deliveryStore(sql)),
    sending: withDatabaseFailures(deliverySender(sql)),
    idempotency: withDatabaseFailures(idempotencyStore(sql)),
    /** Resolves when the database answers and is set up for us. */
    ...withDatabaseFailures({ ping: () => checkDatabase(sql) }),
  };
}

export type Stores = ReturnType<typeof createStores>;
