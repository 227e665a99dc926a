import { request as httpRequest, Agent as HttpAgent } from 'node:http';
import { request as httpsRequest, Agent as HttpsAgent } from 'node:https';

/** Plaid waits ten seconds for an answer; this is real time, because the receiver lives in it. */
const TIMEOUT_MS = 10_000;

export interface PostAnswer {
  status: number;
  retryAfter: string | null;
}

/**
 * Sends one webhook. Redirects are not followed: anything but 200 is a failure. Each has a connection of its own, because one that
 * the receiver has meanwhile closed would look like a failed delivery.
 */
export class WebhookPoster {
  private readonly http = new HttpAgent({ keepAlive: false, maxSockets: 256 });
  private readonly https = new HttpsAgent({ keepAlive: false, maxSockets: 256 });

  post(url: string, body: string, headers: Record<string, string>): Promise<PostAnswer> {
    return new Promise((resolve, reject) => {
      const target = new URL(url);
      const secure = target.protocol === 'https:';
      const bytes = Buffer.from(body, 'utf8');
      const request = (secure ? httpsRequest : httpRequest)(
        target,
        {
          method: 'POST',
          agent: secure ? this.https : this.http,
          headers: { ...headers, 'content-length': bytes.length },
          signal: AbortSignal.timeout(TIMEOUT_MS),
        },
        (response) => {
          response.on('error', reject);
          response.on('end', () =>
            resolve({
              status: response.statusCode ?? 0,
              retryAfter: response.headers['retry-after'] ?? null,
            }),
          );
          response.resume();
        },
      );
      request.on('error', reject);
      request.end(bytes);
    });
  }

  close(): void {
    this.http.destroy();
    this.https.destroy();
  }
}
