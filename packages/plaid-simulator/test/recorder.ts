import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import type { SimulatorOptions } from '../src/server.js';
import { call } from './endpoints.js';
import { PlaidTypes } from './plaidTypes.js';
import { Receiver, Rig, until, type SentDelivery } from './rig.js';

const RECORDINGS = new URL('./recordings/', import.meta.url);
/** `UPDATE_RECORDINGS=1` writes what happened instead of comparing it. */
const REWRITE = process.env['UPDATE_RECORDINGS'] === '1';

/** Ids and tokens, each replaced by what it is and the how manieth of its kind. */
const NAMED: readonly (readonly [RegExp, string])[] = [
  [/\baccess-sandbox-[0-9a-f-]{36}/g, 'access token'],
  [/\bpublic-sandbox-[0-9a-f-]{36}/g, 'public token'],
  [/\blink-sandbox-[0-9a-f-]{36}/g, 'link token'],
  [/\b[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\b/g, 'uuid'],
  [/\b[0-9A-Za-z]{37}\b/g, 'id'],
];
/** Members that are other ones each time: Link's times are real, and what a cursor looks like is nobody's business. */
const OTHER_EACH_TIME: Record<string, string> = {
  request_id: 'request',
  expiration: 'real time',
};
const CURSORS = new Set(['cursor', 'next_cursor']);

const types = new PlaidTypes();

type Json = Record<string, unknown>;

interface Step {
  /** Who calls; a control has no caller. */
  by?: string;
  path: string;
  body: unknown;
  status: number;
  answer: unknown;
  /** What the simulator sent because of it, in the order in which it was made. */
  webhooks: { to: string; body: unknown }[];
}

/** A scenario while it is played: every call with its answer, and the webhooks that it caused. */
export class Recorder {
  private readonly steps: Step[] = [];
  private readonly receivers = new Map<string, { receiver: Receiver; url: string }>();
  private readonly told = new Set<string>();
  private readonly names = new Map<string, string>();
  private readonly counts = new Map<string, number>();

  private constructor(
    private readonly name: string,
    private readonly rig: Rig,
  ) {}

  /** Plays a scenario and compares what happened with its recording. */
  static async play(
    name: string,
    script: (recorder: Recorder) => Promise<void>,
    options: Partial<SimulatorOptions> = {},
  ): Promise<void> {
    const rig = await Rig.start({
      transactionsPerItem: 6,
      now: Date.parse('2026-03-02T12:00:00Z'),
      ...options,
    });
    const recorder = new Recorder(name, rig);
    try {
      await script(recorder);
      recorder.compare();
    } finally {
      await rig.close();
      for (const { receiver } of recorder.receivers.values()) await receiver.stop();
    }
  }

  /** The URL at which an application gets its webhooks. */
  async webhook(application: string): Promise<string> {
    const known = this.receivers.get(application);
    if (known) return known.url;
    const receiver = new Receiver();
    const url = await receiver.start();
    this.receivers.set(application, { receiver, url });
    return url;
  }

  /** A call of an application; the answer's body. What it says with 200 must be of Plaid's published form. */
  async call(by: string, path: string, body: Json): Promise<Json> {
    const { status, body: answer } = await call(this.rig, path, body, { 'plaid-client-id': by });
    await this.note({ by, path, body, status, answer });
    if (status === 200) expect(types.check(answer, types.endpoint(path).response, path)).toEqual([]);
    return answer;
  }

  /** A control: what a user, a bank or time does. */
  async control(path: string, body: Json = {}): Promise<Json> {
    const response = await fetch(`${this.rig.url}/_sim${path}`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(body),
    });
    const answer = (await response.json()) as Json;
    await this.note({ path: `/_sim${path}`, body, status: response.status, answer });
    return answer;
  }

  private async note(step: Omit<Step, 'webhooks'>): Promise<void> {
    this.steps.push({ ...step, webhooks: await this.newWebhooks() });
  }

  /** Every webhook that was made since the last step, once each has reached its receiver. */
  private async newWebhooks(): Promise<Step['webhooks']> {
    let all: SentDelivery[] = [];
    await until(async () => {
      // What is due at this very moment is done before the clock answers.
      await this.rig.advance('PT0S');
      ({ deliveries: all } = await this.rig.control<{ deliveries: SentDelivery[] }>('GET', '/_sim/webhooks'));
      return all.every(({ state }) => state === 'delivered');
    });
    const fresh = all.filter(({ id }) => !this.told.has(id));
    for (const { id } of fresh) this.told.add(id);
    return fresh.map(({ body }) => {
      const to = [...this.receivers].find(([, { receiver }]) =>
        receiver.received.some(({ raw }) => raw.toString() === body),
      );
      return { to: to?.[0] ?? 'nobody', body: JSON.parse(body) as unknown };
    });
  }

  private compare(): void {
    const happened: unknown = JSON.parse(JSON.stringify(this.plain(this.steps)));
    const file = new URL(`${this.name}.json`, RECORDINGS);
    if (REWRITE) {
      mkdirSync(RECORDINGS, { recursive: true });
      writeFileSync(file, `${JSON.stringify(happened, null, 1)}\n`);
      return;
    }
    if (!existsSync(file))
      throw new Error(`there is no recording ${this.name}: UPDATE_RECORDINGS=1 makes it`);
    expect(happened).toEqual(JSON.parse(readFileSync(file, 'utf8')));
  }

  /** The same without what is another one each time. */
  private plain(value: unknown, key = ''): unknown {
    if (typeof value === 'string') return this.plainText(value, key);
    if (Array.isArray(value)) return value.map((inner) => this.plain(inner));
    if (typeof value !== 'object' || value === null) return value;
    return Object.fromEntries(
      Object.entries(value).map(([name, inner]) => [this.plainText(name), this.plain(inner, name)]),
    );
  }

  private plainText(text: string, key = ''): string {
    const other = OTHER_EACH_TIME[key];
    if (other !== undefined) return `<${other}>`;
    if (CURSORS.has(key)) return text === '' ? '' : this.named(text, 'cursor');
    let plain = text;
    for (const [application, { url }] of this.receivers) plain = plain.replaceAll(url, `<${application}>`);
    for (const [pattern, kind] of NAMED) plain = plain.replace(pattern, (id) => this.named(id, kind));
    return plain;
  }

  private named(id: string, kind: string): string {
    const known = this.names.get(id);
    if (known !== undefined) return known;
    const count = (this.counts.get(kind) ?? 0) + 1;
    this.counts.set(kind, count);
    const name = `<${kind} ${count}>`;
    this.names.set(id, name);
    return name;
  }
}
