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
  receiver: ReceivingEndpoint;
  processes: Record<Process, Supervised>;
  databases: Record<Process, CuttableProxy>;
  temporals: Record<Process, CuttableProxy>;
  plaid: CuttableProxy;
  kinesis: KinesisProxy;
  /** What happens to calls of Kinesis from now on; null: nothing. */
  setKinesisFault(fault: ((call: number) => PutRecordsFault | null) | null): void;
  segment: SegmentProxy;
  /** What has happened, by name, for the report of a failure. */
  happened: Map<string, number>;
  count: (what: string) => void;
  stop(): Promise<void>;
}

interface WorldOptions {
  surroundings: Surroundings;
  services: OwnServices | null;
  seed: number;
}

const processNames: readonly Process[] = ['api', 'worker0', 'worker1'];
const hostOf = (url: string): string => new URL(url).host;
const withHost = (url: string, host: string): string => Object.assign(new URL(url), { host }).href;

async function onePerProcess<T>(make: () => Promise<T>): Promise<Record<Process, T>> {
  const [api, worker0, worker1] = await Promise.all([make(), make(), make()]);
  return { api, worker0, worker1 };
}

export async function startWorld({ surroundings, services, seed }: WorldOptions): Promise<World> {
  const happened = new Map<string, number>();
  const count = (what: string): void => void happened.set(what, (happened.get(what) ?? 0) + 1);
  const closing: (() => unknown)[] = [];
  // Provisioning and the questions of the oracle go past the proxies.
  const system = await startSystemIn(surroundings, {
    worker: false,
    transactionsPerItem: 20,
    simulatorArgs: ['--seed', String(seed)],
  });
  closing.push(() => system.stop());
  try {
    const databases = await onePerProcess(() => startCuttableProxy(hostOf(system.databaseUrl)));
    const temporals = await onePerProcess(() => startCuttableProxy(surroundings.temporalAddress));
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
    });
    const startOf =
      (name: Process) =>
      async (env: Record<string, string>): Promise<ChildProcess> => {
        if (name === 'api') {
          await system.startApi({ ...envOf(name), ...env });
          return system.apiProcess();
        }
        return (await system.startWorker({ ...envOf(name), ...env })).process;
      };
    await system.stopApi();
    const supervised = (name: Process): Supervised =>
      new Supervised(startOf(name), (how) => count(`${name} ended (${how})`));
    const processes: Record<Process, Supervised> = {
      api: supervised('api'),
      worker0: supervised('worker0'),
      worker1: supervised('worker1'),
    };
    closing.unshift(() => processNames.forEach((name) => processes[name].leave()));
    await Promise.all(processNames.map((name) => processes[name].ready()));

    const receiver = await receiveEvents(system);
    closing.unshift(() => receiver.close());
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
    return {
      ...{ system, services, client, other, receiver, processes, databases, temporals, plaid },
      ...{ kinesis, segment, happened, count },
      setKinesisFault(fault) {
        kinesis.fault = fault ?? (() => null);
      },
      async stop() {
        for (const close of closing) await close();
      },
    };
  } catch (error) {
    for (const close of closing) await close();
    throw error;
  }
}
