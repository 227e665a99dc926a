import type { DeliveryView, EndpointView } from '../../domain/exchange/endpoint.js';
import type { DeliveryStore } from '../../domain/ports/deliveries.js';
import type { EndpointStore } from '../../domain/ports/endpoints.js';
import type { PageKey } from '../../domain/ports/pages.js';

const endpointView: EndpointView = {
  endpoint_id: 'end_1',
  application_id: 'app-1',
  url: 'https://hooks.example/a',
  types: [],
  signature: 'hmac',
  public_key: null,
  rate_per_second: null,
  consent: false,
  state: 'enabled',
  reason: null,
  state_since: '2026-11-27T07:00:00.000Z',
  failing_since: null,
  quiet_until: null,
  previous_secret_until: null,
  created_at: '2026-11-27T07:00:00.000Z',
};

const deliveryView: DeliveryView = {
  delivery_id: 'dlv_1',
  endpoint_id: 'end_1',
  event_id: 'evt_1',
  type: 'endpoint.ping',
  state: 'pending',
  attempts: 0,
  next_attempt_at: '2026-11-27T07:00:00.000Z',
  last_status: null,
  created_at: '2026-11-27T07:00:00.000Z',
  ended_at: null,
};

interface Behaviour {
  reads: () => Promise<void>;
  store: () => Promise<void>;
  page: (after: PageKey | null) => void;
}

/** One endpoint with one delivery, of `app-1`. What stores make of more is tried against the real database. */
export function memoryEndpoints(behave: Behaviour): { endpoints: EndpointStore; deliveries: DeliveryStore } {
  const isOwn = (applicationId: string, id: string): boolean =>
    applicationId === endpointView.application_id &&
    [endpointView.endpoint_id, deliveryView.delivery_id].includes(id);
  const when = async <T>(applicationId: string, id: string, value: T): Promise<T | null> => {
    await behave.store();
    return isOwn(applicationId, id) ? value : null;
  };
  const page = async <Row>(row: Row, after: PageKey | null) => {
    await behave.reads();
    behave.page(after);
    return { rows: after === null ? [row] : [], next: null };
  };
  return {
    endpoints: {
      async create({ endpointId, url }) {
        await behave.store();
        return { ...endpointView, endpoint_id: endpointId, url };
      },
      page: (_applicationId, _limit, after) => page(endpointView, after),
      async get(applicationId, id) {
        await behave.reads();
        return isOwn(applicationId, id) ? endpointView : null;
      },
      change: (applicationId, id) => when(applicationId, id, endpointView),
      remove: async (applicationId, id) => (await when(applicationId, id, true)) !== null,
      rotate: (applicationId, id) => when(applicationId, id, endpointView),
      ping: (applicationId, id) => when(applicationId, id, deliveryView.delivery_id),
    },
    deliveries: {
      page: async (applicationId, id, _filter, _limit, after) =>
        isOwn(applicationId, id) ? page(deliveryView, after) : null,
      async get(applicationId, id) {
        await behave.reads();
        return isOwn(applicationId, id) ? { delivery: deliveryView, tries: [] } : null;
      },
      resend: async (applicationId, id) => (await when(applicationId, id, true)) !== null,
      recover: (applicationId, id) => when(applicationId, id, 1),
      replay: (applicationId, id) => when(applicationId, id, { queued: 1, nextSince: null }),
    },
  };
}
