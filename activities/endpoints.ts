import { randomUUID } from 'node:crypto';
import { setTimeout as pause } from 'node:timers/promises';
import { breakerFailures } from '../domain/exchange/endpointHealth.js';
import { eventBody } from '../domain/exchange/eventBody.js';
import { Failure } from '../domain/failures.js';
import { secretContext } from '../domain/ids.js';
import type { Attempted, EndpointTarget, TakenDelivery } from '../domain/ports/deliveries.js';
import type { Sealed } from '../domain/ports/secrets.js';
import type { Attempt } from './attempt.js';
import { temporalAttempt } from './attempt.js';
import type { ActivityDeps } from './deps.js';
import { inBatches } from './inBatches.js';
import { sendingRate } from './sendingRate.js';
import { signalIds } from './signalEach.js';

/** Requests to one endpoint that are on their way at once. */
const lanesAtOnce = 16;
/** None begins after so many milliseconds: the workflow sees what has come meanwhile, and asks for the next. */
const longestMs = 15_000;
/** How long a taken delivery is ours: longer than its attempt takes, with what goes before and after. */
const takenMs = 30_000;
/** One that is begun later is given back: it might be taken by another before it ends. */
const beginsWithinMs = 10_000;
/** While something is on its way, the others are asked after so often. */
const askEveryMs = 200;
/** The lease is renewed so often. */
const leaseEveryMs = 5_000;
/** So long what has ended is gathered before the next are taken. */
const gatherMs = 20;

export interface Drained {
  /** When there is something to do (ISO 8601, may be over); null = nothing waits, or the endpoint is off. */
  nextAt: string | null;
  /** Attempts that were made. */
  attempts: number;
}

export function endpointActivities(
  deps: Pick<
    ActivityDeps,
    'sending' | 'sender' | 'secrets' | 'gateway' | 'sweeps' | 'alerts' | 'reportUnexpected' | 'crashPoint'
  >,
  attempt: Attempt = temporalAttempt,
) {
  const { sending, sender, secrets, gateway, sweeps, alerts, crashPoint } = deps;

  /** Secrets that are open; a rotation brings others. */
  function opener(endpointId: string) {
    const open = new Map<string, string>();
    return async (all: readonly Sealed[]): Promise<string[]> => {
      const texts: string[] = [];
      const unreadable: Failure[] = [];
      for (const sealed of all) {
        const key = Buffer.from(sealed.ciphertext).toString('base64');
        try {
          const text =
            open.get(key) ?? (await secrets.open(sealed, secretContext.endpointSecret(endpointId)));
          open.set(key, text);
          texts.push(text);
        } catch (error) {
          if (!(error instanceof Failure && error.type === 'SECRET_UNREADABLE')) throw error;
          unreadable.push(error);
        }
      }
      const [failure] = unreadable;
      if (failure === undefined) return texts;
      // Nobody else would hear of it: its deliveries wait, and no attempt of theirs fails.
      await alerts.raise({ kind: 'endpoint_unreadable', key: endpointId, item_id: null, detail: {} });
      // By one of two a receiver knows us, too.
      if (texts.length === 0) throw failure;
      return texts;
    };
  }

  async function drain(endpointId: string, signal: AbortSignal): Promise<number> {
    const holder = randomUUID();
    const openSecrets = opener(endpointId);
    const rate = sendingRate(() => performance.now());
    const record = inBatches<Attempted>((attempts) => sending.record(endpointId, holder, attempts));
    const endAt = performance.now() + longestMs;
    const onTheirWay = new Set<Promise<void>>();
    const faults: unknown[] = [];
    let attempts = 0;
    let after = '';
    let leasedAt = Number.NEGATIVE_INFINITY;

    async function deliver(
      { deliveryId, event, counted }: TakenDelivery,
      { url, judgedSince }: EndpointTarget,
      signing: readonly string[],
      takenAt: number,
    ): Promise<void> {
      const late = performance.now() - takenAt > beginsWithinMs;
      crashPoint('deliver.beforeSend');
      const body = JSON.stringify(eventBody(event, { counted }));
      const result =
        late || signal.aborted
          ? null
          : await sender.send({ url, id: event.eventId, body, secrets: signing }, signal);
      // Nothing is known of it: whoever takes it next sends it, perhaps once more.
      if (result === null) return sending.release(holder, [deliveryId]);
      attempts += 1;
      crashPoint('deliver.afterSend');
      await record({ deliveryId, url, judgedSince, result });
      crashPoint('deliver.afterRecord');
    }

    const begin = (
      delivery: TakenDelivery,
      target: EndpointTarget,
      signing: readonly string[],
      takenAt: number,
    ) => {
      const run: Promise<void> = deliver(delivery, target, signing, takenAt)
        .catch((error: unknown) => void faults.push(error))
        .finally(() => onTheirWay.delete(run));
      onTheirWay.add(run);
    };

    /** Until something has ended, or might be due. */
    const somethingEnds = (ms: number): Promise<unknown> => Promise.race([...onTheirWay, pause(ms)]);

    const halfIsFree = async (atOnce: number): Promise<void> => {
      const until = performance.now() + gatherMs;
      for (let left = gatherMs; left > 0 && onTheirWay.size > atOnce / 2; left = until - performance.now()) {
        await somethingEnds(left);
      }
    };

    while (!signal.aborted && faults.length === 0 && performance.now() < endAt) {
      const target = await sending.target(endpointId);
      if (target === null || target.quietUntil !== null) break;
      const atOnce = target.failures >= breakerFailures ? 1 : lanesAtOnce;
      const signing = await openSecrets(target.secrets);
      if (performance.now() - leasedAt > leaseEveryMs) {
        leasedAt = performance.now();
        await sending.lease(endpointId, takenMs);
      }
      const limit = Math.min(atOnce - onTheirWay.size, rate.free(target.ratePerSecond));
      const takenAt = performance.now();
      const isIdle = onTheirWay.size === 0;
      const { deliveries, ended, next } =
        limit > 0
          ? await sending.take(endpointId, holder, { limit, after, ms: takenMs })
          : { deliveries: [], ended: 0, next: after };
      rate.use(target.ratePerSecond, deliveries.length);
      for (const delivery of deliveries) begin(delivery, target, signing, takenAt);
      const fromTheStart = after === '';
      // The next round goes on after these lanes, so that none is always the first.
      after = next ?? '';
      if (limit <= 0)
        await somethingEnds(Math.min(askEveryMs, rate.nextMs(target.ratePerSecond) || askEveryMs));
      else if (deliveries.length > 0) await halfIsFree(atOnce);
      else if (ended === 0 && next === null && fromTheStart) {
        // What was on its way meanwhile may have held up what comes after it.
        if (isIdle) break;
        if (onTheirWay.size > 0) await somethingEnds(askEveryMs);
      }
    }
    await Promise.all(onTheirWay);
    if (faults.length > 0) throw faults[0];
    return attempts;
  }

  return {
    /**
     * Sends what is due at an endpoint, several lanes at once, for some seconds. At least once: receivers dedupe by the event's
     * id. What an attempt that died has taken is due half a minute later.
     */
    async drainEndpoint({ endpointId }: { endpointId: string }): Promise<Drained> {
      return attempt(async (signal) => {
        const attempts = await drain(endpointId, signal);
        const target = await sending.target(endpointId);
        const nextAt = target === null ? null : (target.quietUntil ?? (await sending.nextDue(endpointId)));
        // Last: from now on whoever finds something due wakes the endpoint.
        await sending.lease(endpointId, 0);
        return { nextAt, attempts };
      });
    },

    /** Wakes endpoints that have something due and that nobody sends to: what no signal has reached. Resolves to their number. */
    async wakeEndpoints({ limit }: { limit: number }): Promise<{ woken: number }> {
      const due = await sending.dueEndpoints(limit);
      const ids = due.map(({ endpointId }) => endpointId);
      const { signalled, failed, raiseAlerts } = await signalIds(
        deps,
        'wakeEndpoints',
        'endpoint',
        ids,
        (id) => gateway.wakeEndpoint(id),
      );
      await sweeps.recordSignalled({ endpoints: signalled });
      await raiseAlerts();
      return { woken: signalled.length - failed };
    },
  };
}
