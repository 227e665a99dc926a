import type { AddressInfo } from 'node:net';
import { buildApp } from './app.js';
import { scheduleItem } from './item/lifecycle.js';
import { planAbandonment } from './link/ending.js';
import { DEFAULT_OPTIONS, type SimulatorOptions } from './options.js';
import { readState } from './persistence/readState.js';
import { StateFile } from './persistence/stateFile.js';
import { World } from './world.js';

export type { SimulatorOptions } from './options.js';

export interface Simulator {
  /** Origin, without a slash at the end: the base URL for a Plaid client. */
  url: string;
  /** Stops; with a state file, everything is on disk afterwards. */
  close(): Promise<void>;
}

/** Starts a simulator in this process; options that are not given have the defaults of the command line. */
export async function startSimulator(options: Partial<SimulatorOptions> = {}): Promise<Simulator> {
  const all: SimulatorOptions = { ...DEFAULT_OPTIONS, ...options };
  const onError = (error: unknown) => {
    process.stderr.write(
      `simulator: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}\n`,
    );
  };
  const saved = all.state === null ? null : await readState(all.state);
  const world = new World(all, onError, saved?.world);
  for (const item of saved?.items ?? []) world.add(item);
  for (const token of saved?.publicTokens ?? []) world.publicTokens.set(token.token, token);
  for (const token of saved?.linkTokens ?? []) world.linkTokens.set(token.token, token);
  for (const session of saved?.linkSessions ?? []) world.linkSessions.set(session.id, session);
  world.deliveries.restore(saved?.deliveries ?? []);
  const file = all.state === null ? null : await StateFile.attach(all.state, world, onError);
  for (const item of world.items.values()) scheduleItem(world, item);
  for (const session of world.linkSessions.values()) planAbandonment(world, session);
  const app = buildApp(world, onError);
  await app.listen({ port: all.port, host: all.host });
  const { port } = app.server.address() as AddressInfo;
  const host = all.host.includes(':') ? `[${all.host}]` : all.host;
  let closing: Promise<void> | undefined;
  return {
    url: `http://${host}:${port}`,
    close: () =>
      (closing ??= (async () => {
        await app.close();
        await world.close();
        await file?.close();
      })()),
  };
}
