import { z } from 'zod';
import {
  deliveryStates,
  endpointStates,
  sendFailures,
  signatureKinds,
} from '../../domain/exchange/endpoint.js';
import { eventTypes } from '../../domain/exchange/event.js';
import { longestEndpointUrl } from '../../domain/exchange/peerAddress.js';
import { examplePage, id, instant, pageOf, paging, storable, time } from './shared.js';

const anyEndpoint = 'end_0192f0c1-7c1e-7a43-9d0e-3f6c2b5a8e11';
const anyDelivery = 'dlv_0192f0c1-8d2f-7b54-8e1f-4a7d3c6b9f22';
const anyEvent = 'evt_0192f0c1-9e30-7c65-9f20-5b8e4d7ca033';

export const endpointParams = id('Id of the endpoint', anyEndpoint);
export const deliveryParams = id('Id of the delivery', anyDelivery);

const types = z
  .array(z.enum(eventTypes))
  .max(eventTypes.length)
  .meta({ description: 'Types of events; empty = every one. `endpoint.ping` comes whatever stands here' });
const url = storable(longestEndpointUrl)
  .min(1)
  .meta({
    description: 'https, without user name, password or fragment',
    examples: ['https://api.example.com/hooks/sluice'],
  });
const rate = z
  .int()
  .min(1)
  .max(1_000)
  .nullable()
  .meta({ description: 'Requests a second at most; null = no limit' });

export const endpointBody = z
  .strictObject({
    url,
    types: types.default([]),
    signature: z.enum(signatureKinds).default('hmac').meta({
      description:
        '`hmac`: a shared secret (`v1`). `ed25519`: a key pair, of which you hold the public key (`v1a`)',
    }),
    rate_per_second: rate.default(null),
  })
  .meta({
    examples: [{ url: 'https://api.example.com/hooks/sluice', types: ['item.ready', 'item.updated'] }],
  });

export const endpointChange = z
  .strictObject({
    url: url.optional(),
    types: types.optional(),
    rate_per_second: rate.optional(),
    state: z
      .enum(['enabled', 'paused'])
      .optional()
      .meta({ description: '`paused`: deliveries are held. `enabled`: they go on, in their order' }),
  })
  .meta({ examples: [{ state: 'enabled' }] });

const fields = {
  endpoint_id: z.string(),
  application_id: z.string(),
  url: z.string(),
  types: z.array(z.enum(eventTypes)),
  signature: z.enum(signatureKinds),
  public_key: z.string().nullable().meta({ description: 'Of ed25519: `whpk_…`' }),
  rate_per_second: z.int().nullable(),
  consent: z.boolean().meta({
    description: "Made by a key of scope `consent`: it is told of every application's connections",
  }),
  state: z.enum(endpointStates).meta({
    description:
      '`failing`: five attempts in a row failed, and one is made now and then until one gets through. `disabled`: it answered 410, or nothing got through for five days',
  }),
  reason: z.string().nullable(),
  state_since: time,
  failing_since: time.nullable().meta({ description: 'Since when no attempt has got through' }),
  quiet_until: time.nullable().meta({ description: 'Nothing is sent until then' }),
  previous_secret_until: time.nullable().meta({ description: 'Until then the secret before signs too' }),
  created_at: time,
};

const exampleEndpoint = {
  endpoint_id: anyEndpoint,
  application_id: 'app_0192f0c1-7c1e-7a43-9d0e-3f6c2b5a8e11',
  url: 'https://api.example.com/hooks/sluice',
  types: ['item.ready', 'item.updated'],
  signature: 'hmac',
  public_key: null,
  rate_per_second: null,
  consent: false,
  state: 'enabled',
  reason: null,
  state_since: '2026-11-27T14:02:09.000Z',
  failing_since: null,
  quiet_until: null,
  previous_secret_until: null,
  created_at: '2026-11-27T14:02:09.000Z',
};

export const endpointAnswer = z.object(fields).meta({ id: 'Endpoint', examples: [exampleEndpoint] });

export const endpointWithSecret = z
  .object({
    ...fields,
    secret: z.string().nullable().meta({
      description: '`whsec_…`, shown this once; null for ed25519, whose private key never leaves the service',
    }),
  })
  .meta({
    id: 'EndpointWithSecret',
    examples: [{ ...exampleEndpoint, secret: 'whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSwMfKQ9r8GKYo=' }],
  });

export const endpointsAnswer = pageOf(endpointAnswer, z.object({})).meta({
  id: 'EndpointPage',
  ...examplePage(endpointAnswer, {}),
});
export const endpointsQuery = z.strictObject(paging);

const isoDuration = /^P(?=.)(?:(\d{1,2})D)?(?:T(?=.)(?:(\d{1,3})H)?(?:(\d{1,4})M)?(?:(\d{1,6})S)?)?$/;
const longestOverlapMs = 7 * 86_400_000;

/** Milliseconds of a duration in days, hours, minutes and seconds; null when it is none. */
export function overlapMs(text: string): number | null {
  const parts = isoDuration.exec(text);
  if (parts === null) return null;
  const [days = 0, hours = 0, minutes = 0, seconds = 0] = parts.slice(1).map((part) => Number(part ?? 0));
  return (((days * 24 + hours) * 60 + minutes) * 60 + seconds) * 1_000;
}

export const rotateBody = z
  .strictObject({
    overlap: z
      .string()
      .max(32)
      .refine((text) => {
        const ms = overlapMs(text);
        return ms !== null && ms <= longestOverlapMs;
      }, 'must be an ISO 8601 duration of at most P7D, such as PT24H')
      .default('PT24H')
      .meta({ description: 'How long the secret of now signs beside the new one; PT0S = not at all' }),
  })
  .meta({ examples: [{ overlap: 'PT24H' }] });

const moment = (description: string) =>
  instant('2026-11-27T14:00:00Z').meta({ description, examples: ['2026-11-27T14:00:00Z'] });

export const recoverBody = z
  .strictObject({
    since: moment('Of events from this time on'),
    until: moment('And before this one').optional(),
  })
  .meta({ examples: [{ since: '2026-11-27T00:00:00Z' }] });

export const replayBody = z
  .strictObject({
    since: moment('Events from this time on'),
    until: moment('And before this one').optional(),
    types: types.default([]),
    missing_only: z
      .boolean()
      .default(false)
      .meta({ description: 'Only what the endpoint has no delivery of, whatever became of it' }),
  })
  .meta({ examples: [{ since: '2026-11-27T00:00:00Z', missing_only: true }] });

export const recoverAnswer = z
  .object({ queued: z.int().meta({ description: 'Deliveries that are tried once more' }) })
  .meta({ id: 'Recovered', examples: [{ queued: 12 }] });

export const replayAnswer = z
  .object({
    queued: z.int().meta({ description: 'Deliveries that are on their way because of it' }),
    next_since: time.nullable().meta({
      description: 'One request takes 10,000 events: go on with this as `since`. null = that was all',
    }),
  })
  .meta({ id: 'Replayed', examples: [{ queued: 340, next_since: null }] });

const deliveryFields = {
  delivery_id: z.string(),
  endpoint_id: z.string(),
  event_id: z.string().meta({ description: 'The `webhook-id` of every attempt' }),
  type: z.enum(eventTypes),
  state: z.enum(deliveryStates).meta({
    description:
      '`held`: the endpoint is off. `superseded`: a newer `item.updated` covers it. `cancelled`: the application may not be told any more',
  }),
  attempts: z.int(),
  next_attempt_at: time.nullable(),
  last_status: z.int().nullable().meta({ description: 'HTTP status of the last attempt; null = no answer' }),
  created_at: time,
  ended_at: time.nullable(),
};

const exampleDelivery = {
  delivery_id: anyDelivery,
  endpoint_id: anyEndpoint,
  event_id: anyEvent,
  type: 'item.updated',
  state: 'pending',
  attempts: 1,
  next_attempt_at: '2026-11-27T14:07:09.000Z',
  last_status: 500,
  created_at: '2026-11-27T14:02:09.000Z',
  ended_at: null,
};

const deliveryAnswer = z.object(deliveryFields).meta({ id: 'Delivery', examples: [exampleDelivery] });

export const deliveryWithAttempts = z
  .object({
    ...deliveryFields,
    tries: z.array(
      z.object({
        number: z.int(),
        at: time,
        status: z.int().nullable(),
        duration_ms: z.int(),
        answer: z.string().nullable().meta({ description: 'The first KiB of the answer' }),
        failure: z.enum(sendFailures).nullable().meta({ description: 'Why there was no answer' }),
      }),
    ),
  })
  .meta({
    id: 'DeliveryWithAttempts',
    examples: [
      {
        ...exampleDelivery,
        tries: [
          {
            number: 1,
            at: '2026-11-27T14:02:09.000Z',
            status: 500,
            duration_ms: 41,
            answer: 'Internal Server Error',
            failure: null,
          },
        ],
      },
    ],
  });

export const deliveriesQuery = z.strictObject({
  state: z.enum(deliveryStates).optional().meta({ description: 'Deliveries in this state' }),
  ...paging,
});

export const deliveriesAnswer = pageOf(deliveryAnswer, z.object({})).meta({
  id: 'DeliveryPage',
  ...examplePage(deliveryAnswer, {}),
});
