import type { AddressInfo } from 'node:net';
import { buildApp } from './app.js';
import { errorReport } from './errorReport.js';
import { DEFAULT_OPTIONS, type SimulatorOptions } from './options.js';
import { fillWorld } from './persistence/fillWorld.js';
import { readState } from './persistence/readState.js';
import { StateFile } from './persistence/stateFile.js';
import { importWorldFile } from './persistence/worldDocument.js';
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
    process.stderr.write(`simulator: ${errorReport(error)}\n`);
  };
  const saved = all.state === null ? null : await readState(all.state);
  const world = new World(all, onError, saved?.world);
  if (saved) fillWorld(world, saved);
  if (all.import !== null) await importWorldFile(world, all.import);
  const file = all.state === null ? null : await StateFile.attach(all.state, world, onError);
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
