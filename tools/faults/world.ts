import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import type { ChildProcess } from '../local/childProcess.js';
import type { CuttableProxy } from './cuttableProxy.js';
import { startCuttableProxy } from './cuttableProxy.js';
import type { ReceivingEndpoint } from './eventReceiver.js';
import { receiveEvents } from './eventReceiver.js';
import type { KinesisProxy, PutRecordsFault } from './kinesisProxy.js';
import { startKinesisProxy } from './kinesisProxy.js';
import { PatientClient } from './patientClient.js';
import type { SegmentProxy } from './segmentProxy.js';
import { startSegmentProxy } from './segmentProxy.js';
import type { Process } from './strikes.js';
import { processNames } from './strikes.js';
import { howMany } from './institutions.js';
import type { ProcessClock } from './processClock.js';
import { createProcessClock } from './processClock.js';
import { Supervised } from './supervised.js';
import type { Surroundings, System } from './system.js';
import { startSystemIn } from './system.js';

/** Services that are the run's own: ended and started anew at the same address with the same data. */
export interface OwnServices {
  kill(service: 'postgres' | 'temporal', awayMs: number): Promise<void>;
}

/** A system whose every path can be broken, and who watches it. */
export interface World {
  system: System;
  services: OwnServices | null;
  /** A client of the application `default`, which sees everything. */
  client: PatientClient;
  /** An application that sees what it is connected with. */
  other: { applicationId: string; client: PatientClient };
  /** Endpoints of `default`, each of which hears of everything. */
  receivers: readonly [ReceivingEndpoint, ...ReceivingEndpoint[]];
  processes: Record<Process, Supervised>;
  databases: Record<Process, CuttableProxy>;
  temporals: Record<Process, CuttableProxy>;
  clocks: Record<Process, ProcessClock>;
  plaid: CuttableProxy;
  kinesis: KinesisProxy;
  /** What happens to calls of Kinesis from now on; null: nothing. */
  setKinesisFault(fault: ((call: number) => PutRecordsFault | null) | null): void;
  /** Calls of Kinesis that something has happened to. */
  kinesisFailures: number;
  segment: SegmentProxy;
  /** How often a process has ended itself at a named point. */
  crashes: Map<string, number>;
  /** What has happened, by name, for the report of a failure. */
  happened: Map<string, number>;
  count: (what: string) => void;
  /** Of the services under it, by name. */
  versions(): Promise<Record<string, string>>;
  stop(): Promise<void>;
}

interface WorldOptions {
  surroundings: Surroundings;
  services: OwnServices | null;
  seed: number;
  /** How many hear of events; absent = one. */
  endpoints?: number;
}

const hostOf = (url: string): string => new URL(url).host;
const withHost = (url: string, host: string): string => Object.assign(new URL(url), { host }).href;

async function onePerProcess<T>(make: (name: Process) => T | Promise<T>): Promise<Record<Process, T>> {
  const made = await Promise.all(processNames.map(async (name) => [name, await make(name)] as const));
  return Object.fromEntries(made) as Record<Process, T>;
}

export async function startWorld({
  surroundings,
  services,
  seed,
  endpoints = 1,
}: WorldOptions): Promise<World> {
  const happened = new Map<string, number>();
  const count = (what: string): void => void happened.set(what, (happened.get(what) ?? 0) + 1);
  const crashes = new Map<string, number>();
  const closing: (() => unknown)[] = [];
  const clockDir = mkdtempSync(path.join(tmpdir(), 'sluice-clocks-'));
  closing.push(() => rmSync(clockDir, { recursive: true, force: true }));
  // Provisioning and the questions of the oracle go past the proxies.
  const system = await startSystemIn(surroundings, {
    worker: false,
    transactionsPerItem: 20,
    simulatorArgs: ['--seed', String(seed), '--institutions', String(howMany)],
    userEvents: true,
    env: { INSTITUTION_PAGES_PER_MINUTE: '600' },
  });
  closing.unshift(() => system.stop());
  try {
    const databases = await onePerProcess(() => startCuttableProxy(hostOf(system.databaseUrl)));
    const temporals = await onePerProcess(() => startCuttableProxy(surroundings.temporalAddress));
    const clocks = await onePerProcess((name) => createProcessClock(path.join(clockDir, name)));
    const plaid = await startCuttableProxy(hostOf(system.urls.simulator));
    const kinesis = await startKinesisProxy(system.urls.kinesis);
    const segment = await startSegmentProxy(system.urls.segment);
    const proxies = [...Object.values(databases), ...Object.values(temporals), plaid, kinesis, segment];
    closing.unshift(() => Promise.all(proxies.map((proxy) => proxy.close())));

    const envOf = (name: Process): Record<string, string> => ({
      DATABASE_URL: withHost(system.databaseUrl, databases[name].address),
      TEMPORAL_ADDRESS: temporals[name].address,
      PLAID_BASE_URL: `http://${plaid.address}`,
      KINESIS_ENDPOINT: kinesis.url,
      SEGMENT_HOST: segment.url,
      ...clocks[name].env,
    });
    const startOf =
      (name: Process) =>
      async (env: Record<string, string>): Promise<ChildProcess> => {
        if (name === 'api') {
          await system.startApi({ ...envOf(name), ...env });
          return system.apiProcess();
        }
        const more = { ...envOf(name), ...env };
        const isWorker = name.startsWith('worker');
        return (await (isWorker ? system.startWorker(more) : system.startListener(more))).process;
      };
    await system.stopApi();
    const supervised = (name: Process): Supervised =>
      new Supervised(
        startOf(name),
        (how) => count(`${name} ended (${how})`),
        (spec) => {
          const [point = spec] = spec.split(':');
          crashes.set(point, (crashes.get(point) ?? 0) + 1);
        },
      );
    const processes = await onePerProcess(supervised);
    closing.unshift(() => processNames.forEach((name) => processes[name].leave()));
    await Promise.all(processNames.map((name) => processes[name].ready()));

    const receive = async (): Promise<ReceivingEndpoint> => {
      const receiver = await receiveEvents(system);
      closing.unshift(() => receiver.close());
      return receiver;
    };
    const receivers: [ReceivingEndpoint, ...ReceivingEndpoint[]] = [await receive()];
    while (receivers.length < endpoints) receivers.push(await receive());
    const client = new PatientClient(system.urls.api, system.adminKey);
    const { application_id: applicationId } = await client.ask<{ application_id: string }>(
      'POST',
      '/v1/applications',
      { name: 'other' },
    );
    const { key } = await client.ask<{ key: string }>('POST', `/v1/applications/${applicationId}/keys`, {
      scopes: ['read', 'write'],
    });
    const other = { applicationId, client: new PatientClient(system.urls.api, key) };
    const world: World = {
      ...{ system, services, client, other, receivers, processes, databases, temporals, clocks, plaid },
      ...{ kinesis, segment, crashes, happened, count },
      kinesisFailures: 0,
      setKinesisFault(fault) {
        kinesis.fault = (call) => {
          const happens = fault?.(call) ?? null;
          if (happens !== null) world.kinesisFailures += 1;
          return happens;
        };
      },
      async versions() {
        const [row] = await system.sql<{ server_version: string }[]>`SHOW server_version`;
        const { serverVersion } = await system.client.workflowService.getSystemInfo({});
        return { PostgreSQL: row?.server_version ?? '?', Temporal: serverVersion ?? '?' };
      },
      async stop() {
        for (const close of closing) await close();
      },
    };
    return world;
  } catch (error) {
    for (const close of closing) await close();
    throw error;
  }
}
