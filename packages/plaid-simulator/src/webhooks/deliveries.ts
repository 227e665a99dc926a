import { instant } from '../calendar.js';
import type { SimulatedClock } from '../clock.js';
import type { Schedule } from '../schedule.js';
import { webhookBody, type WebhookFields } from './body.js';
import { idOf, numberOf, retryAfter, retryDelay, type Delivery } from './delivery.js';
import type { Signature, SigningKeys } from './keys.js';
import { WebhookPoster } from './post.js';
import { Rejections } from './rejections.js';

/** Finished deliveries that are kept for `GET /_sim/webhooks`. */
const KEPT = 20_000;
/** How long a delivery that is to be overtaken waits when nothing comes to overtake it; simulated. */
const OVERTAKE_PATIENCE_MS = 5_000;

export interface SendOptions {
  url: string;
  itemId: string | null;
  /** The client that it is for; `null` or absent when tokens are bound to no client. */
  clientId?: string | null;
  fields: WebhookFields;
  signature?: Signature;
  delayMs?: number;
  /** Recorded, never sent. */
  drop?: boolean;
  /** Let the next webhook of the Item go first. */
  reorder?: boolean;
}

/** Sends webhooks as Plaid does: POST, ten seconds, only 200 counts, six retries on the simulated clock, signed at each attempt. */
export class Deliveries {
  private readonly deliveries = new Map<string, Delivery>();
  private readonly held = new Map<string, Delivery[]>();
  private readonly poster = new WebhookPoster();
  private readonly rejections = new Rejections();
  private counter = 0;

  constructor(
    private readonly clock: SimulatedClock,
    private readonly schedule: Schedule,
    private readonly keys: SigningKeys,
    private readonly target: string | undefined,
    private readonly onChange: (delivery: Delivery) => void,
  ) {}

  send(options: SendOptions): Delivery {
    const body = webhookBody(options.fields);
    const signature = options.signature ?? 'ok';
    const delivery: Delivery = {
      id: idOf((this.counter += 1)),
      itemId: options.itemId,
      clientId: options.clientId ?? null,
      url: options.url,
      body: signature === 'body_changed' ? `${body} ` : signature === 'reindented' ? reindented(body) : body,
      ...(signature === 'body_changed' || signature === 'reindented' ? { signedBody: body } : {}),
      webhookType: textOf(options.fields['webhook_type']),
      webhookCode: textOf(options.fields['webhook_code']),
      signature,
      state: options.drop ? 'dropped' : 'pending',
      createdAt: this.clock.now(),
      nextAt: this.clock.now() + (options.delayMs ?? 0),
      attempts: [],
    };
    this.deliveries.set(delivery.id, delivery);
    const key = delivery.itemId ?? '';
    const overtaken = this.held.get(key) ?? [];
    if (options.reorder && delivery.state === 'pending') {
      delivery.nextAt += OVERTAKE_PATIENCE_MS;
      this.held.set(key, [...overtaken, delivery]);
    } else if (delivery.state === 'pending' && overtaken.length > 0) {
      this.held.delete(key);
      for (const waiting of overtaken) {
        waiting.nextAt = Math.max(this.clock.now(), delivery.nextAt) + 1;
        this.plan(waiting);
      }
    }
    this.plan(delivery);
    this.forgetOldest();
    return delivery;
  }

  /** The number of the latest delivery, 0 before the first. */
  get latest(): number {
    return this.counter;
  }

  /** Deliveries in the order in which they were made. */
  list(itemId?: string): Delivery[] {
    const all = [...this.deliveries.values()];
    return itemId === undefined ? all : all.filter((delivery) => delivery.itemId === itemId);
  }

  /** How many of an Item's webhooks are neither answered with 200 nor given up. */
  due(itemId: string): number {
    return this.list(itemId).filter(({ state }) => state === 'pending').length;
  }

  restore(deliveries: readonly Delivery[]): void {
    const tried = deliveries.flatMap((delivery) => {
      const last = delivery.attempts.at(-1);
      return last ? [{ delivery, at: Date.parse(last.at), accepted: last.status === 200 }] : [];
    });
    for (const { delivery, at, accepted } of tried.sort((a, b) => a.at - b.at)) {
      this.judge(delivery, at, accepted);
    }
    for (const delivery of deliveries) {
      this.deliveries.set(delivery.id, delivery);
      this.counter = Math.max(this.counter, numberOf(delivery));
      this.plan(delivery);
    }
  }

  clear(): void {
    this.deliveries.clear();
    this.held.clear();
    this.rejections.clear();
    this.counter = 0;
  }

  close(): void {
    this.poster.close();
  }

  private plan(delivery: Delivery): void {
    this.onChange(delivery);
    if (delivery.state !== 'pending') return;
    const planned = delivery.nextAt;
    this.schedule.at(planned, delivery.itemId ?? delivery.id, () =>
      // Overtaken in the meantime, or forgotten by a reset: another plan holds.
      delivery.nextAt === planned && this.deliveries.get(delivery.id) === delivery
        ? this.attempt(delivery)
        : undefined,
    );
  }

  private async attempt(delivery: Delivery): Promise<void> {
    const receiver = receiverOf(delivery);
    // A retry that was planned before the receiver had rejected too much.
    if (delivery.attempts.length > 0 && this.rejections.tooMany(receiver, this.clock.now())) {
      return this.giveUp(delivery, 'rejections');
    }
    const verification = this.keys.verification(delivery.signedBody ?? delivery.body, delivery.signature);
    const headers: Record<string, string> = {
      'content-type': 'application/json',
      'user-agent': 'Plaid Webhook Simulator',
      ...(verification === null ? {} : { 'plaid-verification': verification }),
    };
    const at = this.clock.now();
    const attempt: Delivery['attempts'][number] = { at: instant(at), headers, status: null };
    let wait: string | null = null;
    try {
      const answer = await this.poster.post(this.urlOf(delivery), delivery.body, headers);
      attempt.status = answer.status;
      if (answer.status === 429) wait = answer.retryAfter;
    } catch (error) {
      attempt.error =
        error instanceof Error ? (error.name === 'TimeoutError' ? 'timeout' : error.message) : 'failed';
    }
    delivery.attempts.push(attempt);
    this.judge(delivery, at, attempt.status === 200);
    if (attempt.status === 200) {
      delivery.state = 'delivered';
      return this.plan(delivery);
    }
    if (this.rejections.tooMany(receiver, at)) return this.giveUp(delivery, 'rejections');
    const delay = retryDelay(delivery.attempts.length, retryAfter(wait, this.clock.realNow()));
    if (delay === null) return this.giveUp(delivery, 'retries');
    delivery.nextAt = at + delay;
    this.plan(delivery);
  }

  /** What is wrongly signed stands for strangers: Plaid knows nothing of it. */
  private judge(delivery: Delivery, at: number, accepted: boolean): void {
    if (delivery.signature === 'ok') this.rejections.note(receiverOf(delivery), delivery.id, at, accepted);
  }

  private giveUp(delivery: Delivery, reason: NonNullable<Delivery['gaveUp']>): void {
    delivery.state = 'failed';
    delivery.gaveUp = reason;
    this.plan(delivery);
  }

  /** `--webhook-target`: an origin keeps the registered path, a URL with a path replaces it all. */
  private urlOf(delivery: Delivery): string {
    if (this.target === undefined) return delivery.url;
    const target = new URL(this.target);
    if (target.pathname !== '/' || target.search !== '') return this.target;
    const registered = new URL(delivery.url);
    return new URL(`${registered.pathname}${registered.search}`, target).href;
  }

  private forgetOldest(): void {
    if (this.deliveries.size <= KEPT) return;
    for (const [id, delivery] of this.deliveries) {
      if (delivery.state === 'pending') continue;
      this.deliveries.delete(id);
      return;
    }
  }
}

/** Plaid judges receivers by client and URL. */
function receiverOf({ clientId, url }: Delivery): string {
  return `${clientId ?? ''} ${url}`;
}

function textOf(value: unknown): string {
  return typeof value === 'string' ? value : '';
}

function reindented(body: string): string {
  return JSON.stringify(JSON.parse(body));
}
