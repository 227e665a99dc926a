import { rmSync } from 'node:fs';
import path from 'node:path';
import { apiUrl, APPLICATIONS, applicationService, provision, type Application } from './applications.js';
import type { PlaidSandbox } from './plaidSandbox.js';
import { writeFileAtomic } from './atomicFile.js';
import { failureText } from './failureText.js';
import { say } from './progress.mjs';
import { keptSecrets } from './secrets.js';
import { startService, type Service } from './service.js';
import { STACK_SERVICES, startStack, type Stack, type StackService, type StackUrls } from './stack.js';

export interface DeploymentOptions {
  readonly dataDir: string;
  readonly freePorts: boolean;
  readonly transactionsPerItem: number | undefined;
  /** Plaid's own sandbox; absent = the simulator. */
  readonly sandbox?: PlaidSandbox | undefined;
  /** Aborted when the user wants to stop; starting ends at the next step. */
  readonly signal: AbortSignal;
}

/** What `stack.json` says. Origins without `/v1`; with Plaid's own sandbox `simulator_url` is empty and its credentials are left out. */
export interface StackFile extends StackUrls {
  readonly api_url: string;
  readonly admin_api_key: string;
  readonly plaid_client_id: string;
  readonly plaid_secret: string;
  /** Where `npm start` receives events; a GET shows the latest. */
  readonly event_receiver_url: string;
  readonly pids: Partial<Record<Application | StackService, number>>;
}

export interface Deployment {
  describe(): StackFile;
  /** Lets tools find the stack: from now until the stop `stack.json` is there and current. */
  publish(): void;
  stop(): Promise<void>;
}

const FIRST_RESTART_MS = 1_000;
const LAST_RESTART_MS = 30_000;
const HEALTHY_AFTER_MS = 60_000;
/** Longer than that of the applications, so that an outage of a store can be watched on the readiness page before it is mended. */
const SERVICE_RESTART_MS = 10_000;

/** The whole of Sluice on the local stack: services, then provisioning, then API, worker and listener, each started again when it dies. */
export async function startDeployment(options: DeploymentOptions): Promise<Deployment> {
  const stackFile = path.join(options.dataDir, 'stack.json');
  const applications = new Map<Application, Service>();
  let published = false;
  let stopping = false;
  const timers = new Set<NodeJS.Timeout>();

  const later = (ms: number, work: () => Promise<void>): void => {
    const timer = setTimeout(() => {
      timers.delete(timer);
      if (!stopping) void work();
    }, ms);
    timers.add(timer);
  };

  let stack: Stack | undefined;
  const mendService = (name: StackService, pauseMs = SERVICE_RESTART_MS): void => {
    if (stopping) return;
    say(`${name} has ended by itself, starting it again in ${pauseMs / 1000} s`);
    later(pauseMs, async () => {
      try {
        await stack?.restart(name);
        say(`${name} runs again`);
        if (published) publish();
      } catch (error) {
        say(failureText(error));
        mendService(name, LAST_RESTART_MS);
      }
    });
  };

  const startApplication = async (name: Application, running: Stack): Promise<void> => {
    const started = Date.now();
    const service = await startService(applicationService(name, running, options.sandbox), running.guard);
    applications.set(name, service);
    void service.exited.then((exit) => {
      if (stopping) return;
      say(`${name} has ended by itself (${exit.signal ?? `exit ${exit.code}`}), starting it again`);
      if (Date.now() - started > HEALTHY_AFTER_MS) failures.set(name, 0);
      mendApplication(name, running);
    });
  };
  const failures = new Map<Application, number>();
  const mendApplication = (name: Application, running: Stack): void => {
    const count = failures.get(name) ?? 0;
    failures.set(name, count + 1);
    later(Math.min(LAST_RESTART_MS, FIRST_RESTART_MS * 2 ** count), async () => {
      try {
        await startApplication(name, running);
        say(`${name} runs again`);
        if (published) publish();
      } catch (error) {
        if (stopping) return;
        say(failureText(error));
        mendApplication(name, running);
      }
    });
  };

  const stop = async (): Promise<void> => {
    stopping = true;
    for (const timer of timers) clearTimeout(timer);
    rmSync(stackFile, { force: true });
    // The API first takes no more requests, worker and listener end what they have begun, and only then do their stores go.
    await Promise.all([...applications.values()].map((service) => service.stop()));
    await stack?.stop();
  };

  const describeStack = (running: Stack): StackFile => {
    const secrets = keptSecrets(running.dataDir);
    const pids = Object.fromEntries([...applications].map(([name, service]) => [name, service.pid]));
    return {
      api_url: apiUrl(running),
      admin_api_key: secrets.adminApiKey,
      simulator_url: options.sandbox ? '' : running.urls.simulator_url,
      plaid_client_id: options.sandbox ? '' : secrets.plaidClientId,
      plaid_secret: options.sandbox ? '' : secrets.plaidSecret,
      temporal_address: running.urls.temporal_address,
      temporal_ui_url: running.urls.temporal_ui_url,
      database_url: running.urls.database_url,
      kinesis_endpoint: running.urls.kinesis_endpoint,
      segment_sink_url: running.urls.segment_sink_url,
      event_receiver_url: `http://127.0.0.1:${running.ports.events}/events`,
      pids: { ...pids, ...running.pids() },
    };
  };
  const publish = (): void => {
    published = true;
    if (stack && !stopping) writeFileAtomic(stackFile, JSON.stringify(describeStack(stack), null, 2), 0o600);
  };

  try {
    rmSync(stackFile, { force: true }); // a killed predecessor's would name dead processes
    const simulated = options.sandbox ? '' : ', Plaid simulator';
    say(`starting PostgreSQL, Temporal, Kinesis emulator${simulated} and Segment sink …`);
    const running = await startStack({
      dataDir: options.dataDir,
      freePorts: options.freePorts,
      services: options.sandbox ? STACK_SERVICES.filter((name) => name !== 'simulator') : STACK_SERVICES,
      simulator: { transactionsPerItem: options.transactionsPerItem },
      onDeath: mendService,
    });
    stack = running;
    options.signal.throwIfAborted();
    say('provisioning: migrations, search attributes, schedules, streams …');
    await provision(running, options.sandbox);
    options.signal.throwIfAborted();
    say('starting API, worker and listener …');
    const started = await Promise.allSettled(APPLICATIONS.map((name) => startApplication(name, running)));
    const failure = started.find((result) => result.status === 'rejected');
    if (failure) throw failure.reason;
    options.signal.throwIfAborted();
    return { describe: () => describeStack(running), publish, stop };
  } catch (error) {
    await stop();
    throw error;
  }
}
