import { randomUUID } from 'node:crypto';

export interface PatientAnswer<Body> {
  status: number;
  body: Body;
}

/** Whether the request is answered for good. */
export const isAnswered = ({ status, body }: PatientAnswer<unknown>): boolean =>
  status < 500 && status !== 429 && (body as { code?: string }).code !== 'request_running';

const attemptMs = 20_000;
const pauseMs = 400;

/**
 * A client that repeats a request with the same Idempotency-Key until it is answered for good: a lost connection, 5xx, 202 of a link and 429
 * are no such answer.
 */
export class PatientClient {
  constructor(
    private readonly origin: string,
    private readonly key: string,
  ) {}

  /** The body of a 2xx answer; any other final one is thrown. */
  async ask<Body = Record<string, unknown>>(method: string, route: string, body?: unknown): Promise<Body> {
    const answer = await this.send<Body>(method, route, body);
    if (answer.status >= 300)
      throw new Error(`${method} ${route}: ${answer.status} ${JSON.stringify(answer.body)}`);
    return answer.body;
  }

  /** `isFinal`: whether a status is the end of it; by default all but 429 and 5xx are. */
  async send<Body = Record<string, unknown>>(
    method: string,
    route: string,
    body?: unknown,
    isFinal: (answer: PatientAnswer<Body>) => boolean = isAnswered,
  ): Promise<PatientAnswer<Body>> {
    const headers: Record<string, string> = {
      authorization: `Bearer ${this.key}`,
      ...(method === 'GET' ? {} : { 'idempotency-key': randomUUID() }),
      ...(body === undefined ? {} : { 'content-type': 'application/json' }),
    };
    for (;;) {
      try {
        const response = await fetch(`${this.origin}${route}`, {
          method,
          headers,
          ...(body === undefined ? {} : { body: JSON.stringify(body) }),
          signal: AbortSignal.timeout(attemptMs),
        });
        const text = await response.text();
        const answer = { status: response.status, body: (text === '' ? {} : JSON.parse(text)) as Body };
        if (isFinal(answer)) return answer;
      } catch {
        // Nobody knows whether it was heard: the key says that it is the same wish.
      }
      await new Promise((resolve) => setTimeout(resolve, pauseMs));
    }
  }
}
