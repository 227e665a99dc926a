import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { createServer } from 'node:net';
import { Runtime } from '@temporalio/worker';
import type { Logger } from './logger.js';
import { temporalLogger } from './temporalLogger.js';

const answerWithinMs = 5_000;
const tries = 5;

/**
 * Installs Temporal's runtime, once a process. Its core serves metrics itself, knows no other page and takes any address for
 * its own. So it stands on the loopback interface at a free port, and what this returns reads them there.
 */
export async function installRuntime(
  logger: Logger,
): Promise<() => Promise<{ contentType: string; body: string }>> {
  const address = await installWithMetrics(logger);
  return async () => {
    const answer = await fetch(`http://${address}/metrics`, { signal: AbortSignal.timeout(answerWithinMs) });
    if (!answer.ok) throw new Error("Temporal's core gives no metrics");
    return { contentType: answer.headers.get('content-type') ?? 'text/plain', body: await answer.text() };
  };
}

async function installWithMetrics(logger: Logger): Promise<string> {
  for (let left = tries; ; left -= 1) {
    const bindAddress = `127.0.0.1:${await freePort()}`;
    try {
      Runtime.install({
        logger: temporalLogger(logger),
        // Signals are ours to handle: the database is closed only after the last activity.
        shutdownSignals: [],
        telemetryOptions: { metrics: { prometheus: { bindAddress } } },
      });
      return bindAddress;
    } catch (error) {
      // Somebody took the port meanwhile.
      if (left <= 1) throw error;
    }
  }
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, 'close');
  return port;
}
