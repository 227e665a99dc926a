import { mkdirSync, realpathSync, rmSync } from 'node:fs';
import path from 'node:path';
import { readJsonFile, writeFileAtomic } from './atomicFile.js';
import type { Guard } from './guard.js';
import { kinesisService } from './kinesis.js';
import { choosePorts, type Ports } from './ports.js';
import { databaseUrl, postgresService } from './postgres.js';
import { openProcessRegistry } from './processRegistry.js';
import { keptSecrets } from './secrets.js';
import { segmentSinkService } from './segmentSink.js';
import { startService, type Service, type ServiceSpec } from './service.js';
import { simulatorService } from './simulator.js';
import { temporalProgram } from './temporalBinary.mjs';
import { temporalService } from './temporal.js';

export const STACK_SERVICES = ['postgres', 'temporal', 'kinesis', 'simulator', 'segment'] as const;
export type StackService = (typeof STACK_SERVICES)[number];

export interface StackOptions {
  /** Created when absent; holds data, logs (`logs/<service>.log`), ports and the list of processes. One stack at a time. */
  readonly dataDir: string;
  /** Ports that nobody uses, kept for the next start on the same data; else the fixed ones of ports.ts. */
  readonly freePorts: boolean;
  /** Default: all. */
  readonly services?: readonly StackService[];
  /** Fast and forgetful, and `dataDir` is removed at the end, also after a `kill -9` of this process: for tests. */
  readonly ephemeral?: boolean;
  /** Of a stack that keeps its data those that keep nothing. */
  readonly forgetful?: readonly StackService[];
  readonly simulator?: {
    readonly transactionsPerItem?: number | undefined;
    readonly args?: readonly string[];
  };
  /** Called when a service ends without having been asked to. */
  readonly onDeath?: (service: StackService) => void;
}

/** Origins without a path; only those of started services lead anywhere. */
export interface StackUrls {
  readonly database_url: string;
  readonly temporal_address: string;
  readonly temporal_ui_url: string;
  readonly kinesis_endpoint: string;
  readonly simulator_url: string;
  readonly segment_sink_url: string;
}

export interface Stack {
  readonly dataDir: string;
  readonly urls: StackUrls;
  readonly ports: Ports;
  /** Registers further processes (API, worker, listener) so that nothing outlives the stack. */
  readonly guard: Guard;
  /** pids of the started services, current after a `restart` */
  pids(): Partial<Record<StackService, number>>;
  logFile(name: string): string;
  /** Starts a dead service again at the same address with the same data. */
  restart(service: StackService): Promise<void>;
  /** Stops everything in the order that loses nothing; resolves when all processes are gone. */
  stop(): Promise<void>;
}

/** Starts the services in parallel; resolves when each of them answers. On a failure everything started is stopped first. */
export async function startStack(options: StackOptions): Promise<Stack> {
  mkdirSync(options.dataDir, { recursive: true, mode: 0o700 });
  const dataDir = realpathSync(options.dataDir);
  const ephemeral = options.ephemeral ?? false;
  const wanted = options.services ?? STACK_SERVICES;
  const guard = await openProcessRegistry(dataDir, ephemeral ? dataDir : undefined);

  const running = new Map<StackService, Service>();
  let stopping = false;
  const stop = async (): Promise<void> => {
    stopping = true;
    await Promise.all([...running.values()].map((service) => service.stop()));
    running.clear();
    await guard.close();
    if (ephemeral) rmSync(dataDir, { recursive: true, force: true });
  };

  try {
    const ports = await keptPorts(dataDir, options.freePorts);
    const password = keptSecrets(dataDir).databasePassword;
    const logFile = (name: string): string => path.join(dataDir, 'logs', `${name}.log`);
    const at = (port: number): string => `http://127.0.0.1:${port}`;

    const specOf = async (name: StackService): Promise<ServiceSpec> => {
      const forgets = ephemeral || (options.forgetful?.includes(name) ?? false);
      const base = { dataDir, logFile: logFile(name), ephemeral: forgets };
      switch (name) {
        case 'postgres':
          return postgresService({ ...base, port: ports.postgres, password });
        case 'temporal':
          return temporalService({
            ...base,
            binary: await temporalProgram(),
            port: ports.temporal,
            uiPort: ports.temporalUi,
          });
        case 'kinesis':
          return kinesisService({ ...base, port: ports.kinesis, tlsPort: ports.kinesisTls });
        case 'simulator':
          return simulatorService({ ...base, port: ports.simulator, ...options.simulator });
        case 'segment':
          return segmentSinkService({ ...base, port: ports.segment });
      }
    };
    const start = async (name: StackService): Promise<void> => {
      const service = await startService(await specOf(name), guard);
      running.set(name, service);
      void service.exited.then(() => {
        if (stopping || running.get(name) !== service) return;
        running.delete(name);
        options.onDeath?.(name);
      });
    };

    // Settled, not raced: a service that is still starting while another fails must be known before everything is stopped.
    const results = await Promise.allSettled(wanted.map(start));
    const failure = results.find((result) => result.status === 'rejected');
    if (failure) throw failure.reason;

    return {
      dataDir,
      ports,
      guard,
      urls: {
        database_url: databaseUrl(ports.postgres, password),
        temporal_address: `127.0.0.1:${ports.temporal}`,
        temporal_ui_url: at(ports.temporalUi),
        kinesis_endpoint: at(ports.kinesis),
        simulator_url: at(ports.simulator),
        segment_sink_url: at(ports.segment),
      },
      pids: () => Object.fromEntries([...running].map(([name, service]) => [name, service.pid])),
      logFile,
      restart: async (name) => {
        await running.get(name)?.stop();
        if (!stopping) await start(name);
      },
      stop,
    };
  } catch (error) {
    await stop();
    throw error;
  }
}

async function keptPorts(dataDir: string, freePorts: boolean): Promise<Ports> {
  const file = path.join(dataDir, 'ports.json');
  const ports = await choosePorts(freePorts, readJsonFile(file) as Partial<Ports> | undefined);
  writeFileAtomic(file, JSON.stringify(ports, null, 2));
  return ports;
}
