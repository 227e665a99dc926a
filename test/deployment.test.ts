import { existsSync, readFileSync } from 'node:fs';
import { parse } from 'yaml';
import { NODE_RELEASES } from '../tools/local/nodeReleases.mjs';
import { temporalService } from '../tools/local/temporal.js';
import { loadConfig, processNames, variablesOf } from '../src/config.js';

/**
 * The deployment by Docker Compose as far as it can be read: that each process gets the environment that it needs and none
 * that it does not know, that services wait for what they need, that nothing secret stands in a file.
 */

interface Service {
  image: string;
  build?: { target: string };
  command?: string[];
  restart?: string;
  profiles?: string[];
  environment?: Record<string, string>;
  depends_on?: Record<string, { condition: string; required?: boolean }>;
  healthcheck?: { test: string[] };
  volumes?: string[];
  ports?: string[];
}

const read = (file: string): string => readFileSync(new URL(`../${file}`, import.meta.url), 'utf8');
const compose = parse(read('docker-compose.yml'), { merge: true }) as {
  services: Record<string, Service>;
  volumes: Record<string, null>;
};
const services = Object.entries(compose.services);
const example = Object.fromEntries(
  read('.env.example')
    .split('\n')
    .filter((line) => /^[A-Z]/.test(line))
    .map((line) => [line.slice(0, line.indexOf('=')), line.slice(line.indexOf('=') + 1)]),
);
const filledIn: Record<string, string> = {
  ...example,
  POSTGRES_PASSWORD: 'a1',
  TEMPORAL_POSTGRES_PASSWORD: 'b2',
  ADMIN_API_KEY: '0123456789abcdef',
  ENCRYPTION_KEYS: `k1:${Buffer.alloc(32, 1).toString('base64')}`,
  PLAID_SECRET: 'secret',
};
const reference = /\$\{([A-Z_]+)(?:(:[-?])([^}]*))?\}/g;

/** As Compose does it; throws where Compose would. */
function interpolate(text: string, values: Record<string, string>): string {
  return text.replaceAll(reference, (_all, name: string, operator?: string, rest = '') => {
    const value = values[name] ?? '';
    if (value !== '') return value;
    if (operator === ':?') throw new Error(`${name}: ${rest}`);
    return operator === ':-' ? rest : '';
  });
}

/** The process that a service runs, when it is one of `src/config.ts`. */
function processOf(service: Service): (typeof processNames)[number] | null {
  const name = /^src\/(\w+)\.ts$/.exec(service.command?.at(-1) ?? '')?.[1];
  return processNames.find((known) => known === name) ?? null;
}

/** Read by the AWS SDK itself. */
const awsVariables = ['AWS_ACCESS_KEY_ID', 'AWS_SECRET_ACCESS_KEY', 'AWS_SESSION_TOKEN'];

/** What this deployment cannot have otherwise, or not without a file from outside: an override adds it. */
const leftOut = [
  // Its Temporal has one namespace, no keys and no TLS; there are never two builds at once.
  ...variablesOf('worker').filter((name) => /^TEMPORAL_(?!ADDRESS)/.test(name)),
  'WORKER_BUILD_ID',
  // Files.
  'WORKFLOW_BUNDLE',
  'PORTAL_LOGO',
  // One-shot services have nobody who reads figures; the others are given theirs.
  'METRICS_PORT',
  // For tests.
  'SLUICE_CRASH_AT',
];

describe('each process of ours in docker-compose.yml', () => {
  const ours = services.flatMap(([name, service]) => {
    const process = processOf(service);
    return process === null ? [] : [[name, service, process] as const];
  });

  it('is there', () => {
    expect(new Set(ours.map(([, , process]) => process))).toEqual(new Set(processNames));
    const roles = ours.map(([, service]) => service.environment?.['WORKER_ROLES']).filter(Boolean);
    expect(roles.sort()).toEqual(['core', 'plaid']);
  });

  it.each(ours)('%s gets what it needs and nothing that it does not know', (_name, service, process) => {
    const environment = Object.fromEntries(
      Object.entries(service.environment ?? {}).map(([name, value]) => [name, interpolate(value, filledIn)]),
    );
    expect(() => loadConfig(process, environment)).not.toThrow();
    const known = [...variablesOf(process), ...awsVariables];
    expect(Object.keys(environment).filter((name) => !known.includes(name))).toEqual([]);
  });

  it.each(ours)('%s is given every variable that it reads', (_name, service, process) => {
    const given = Object.keys(service.environment ?? {});
    const missing = variablesOf(process).filter((name) => !given.includes(name) && !leftOut.includes(name));
    expect(missing).toEqual([]);
  });

  it.each(ours)('%s runs an entry point from the image that has it', (_name, service) => {
    expect(service.build?.target).toBe('runtime');
    expect(existsSync(new URL(`../${service.command?.at(-1)}`, import.meta.url))).toBe(true);
  });
});

describe('docker-compose.yml', () => {
  it('refuses to start with a copy of .env.example whose blanks are not filled in', () => {
    for (const name of ['provision', 'api', 'worker-core', 'worker-plaid', 'postgres', 'temporal']) {
      const values = Object.values(compose.services[name]?.environment ?? {});
      expect(() => values.map((value) => interpolate(value, example))).toThrow('set it in .env');
    }
  });

  it('uses the variables of .env.example, and no others', () => {
    const used = new Set([...read('docker-compose.yml').matchAll(reference)].map(([, name]) => name));
    // Which image: for who builds more than one. COMPOSE_PROFILES is read by Compose.
    used.delete('SLUICE_VERSION');
    used.add('COMPOSE_PROFILES');
    expect([...used].sort()).toEqual(Object.keys(example).sort());
  });

  it('has every variable that is read in the tables of docs/operations.md, and no other there', () => {
    const documented = read('docs/operations.md')
      .split('\n')
      .flatMap((line) => /^\| (`[A-Z].*?)\|/.exec(line)?.[1] ?? [])
      .flatMap((cell) => [...cell.matchAll(/`([A-Z][A-Z_]+)`/g)].map(([, name]) => name ?? ''));
    const known = [...new Set(processNames.flatMap(variablesOf))];
    // The table writes `…_DATA` for the other form of a `…_PATH`.
    const wanted = known.filter(
      (name) => !(name.endsWith('_DATA') && known.includes(name.replace(/DATA$/, 'PATH'))),
    );
    expect(wanted.filter((name) => !documented.includes(name))).toEqual([]);
    expect(documented.filter((name) => !known.includes(name))).toEqual([]);
  });

  it('holds no secret, nor does .env.example', () => {
    const secret = /PASSWORD|SECRET|_PWD|ENCRYPTION_KEYS|API_KEY|WRITE_KEY|SESSION_TOKEN|DATABASE_URL/;
    for (const [name, value] of services.flatMap(([, service]) =>
      Object.entries(service.environment ?? {}),
    )) {
      if (secret.test(name)) expect([name, value]).toEqual([name, expect.stringMatching(/\$\{\w+:[?-]/)]);
    }
    const said = Object.entries(example).filter(([name, value]) => secret.test(name) && value !== '');
    expect(said).toEqual([]);
  });

  it.each(services)('%s waits only for what there is to wait for', (_name, service) => {
    for (const [other, { condition, required }] of Object.entries(service.depends_on ?? {})) {
      const awaited = compose.services[other];
      if (awaited === undefined) throw new Error(`there is no service ${other}`);
      if (condition === 'service_healthy') expect(awaited.healthcheck).toBeDefined();
      else expect([condition, awaited.restart]).toEqual(['service_completed_successfully', 'no']);
      // Who has a profile may be absent.
      expect(required ?? true).toBe(awaited.profiles === undefined);
    }
  });

  it.each(services)('%s has a pinned image, or a stage of the Dockerfile', (_name, service) => {
    const stages = [...read('Dockerfile').matchAll(/^FROM \S+ AS (\S+)$/gm)].map(([, stage]) => stage);
    if (service.build) expect(stages).toContain(service.build.target);
    else expect(service.image).toMatch(/:\d+(\.\d+)*$/);
  });

  it.each(services)(
    '%s opens ports to this machine only, and keeps data in named volumes',
    (_name, service) => {
      for (const port of service.ports ?? []) expect(port).toMatch(/^127\.0\.0\.1:/);
      for (const volume of service.volumes ?? []) {
        const [source = ''] = volume.split(':');
        if (source.startsWith('./')) expect(existsSync(new URL(`../${source}`, import.meta.url))).toBe(true);
        else expect(Object.keys(compose.volumes)).toContain(source);
      }
    },
  );

  it("gives Temporal's server the settings of the dev server", () => {
    const settings = parse(read('deploy/temporal/dynamic.yaml')) as Record<string, { value: unknown }[]>;
    const { launch } = temporalService({
      binary: 'temporal',
      dataDir: '.',
      logFile: 'log',
      port: 1,
      uiPort: 2,
      ephemeral: true,
    });
    const given = launch.args.filter((_arg, index) => launch.args[index - 1] === '--dynamic-config-value');
    const said = Object.entries(settings).map(
      ([name, values]) => `${name}=${JSON.stringify(values[0]?.value)}`,
    );
    expect(said.sort()).toEqual([...given].sort());
    const [, mount = ''] = compose.services['temporal']?.volumes?.[0]?.split(':') ?? [];
    expect(compose.services['temporal']?.environment?.['DYNAMIC_CONFIG_FILE_PATH']).toBe(mount);
  });
});

describe('the Dockerfile', () => {
  const dockerfile = read('Dockerfile');

  it('copies only what .dockerignore lets through and what there is', () => {
    const allowed = read('.dockerignore')
      .split('\n')
      .filter((line) => line.startsWith('!'))
      .map((line) => line.slice(1));
    const copied = [...dockerfile.matchAll(/^COPY (?!--from)(.+) \S+$/gm)].flatMap(([, files = '']) =>
      files.split(' '),
    );
    const isAllowed = (file: string) => allowed.some((one) => file === one || file.startsWith(`${one}/`));
    expect(copied.filter((file) => !isAllowed(file))).toEqual([]);
    expect(allowed.filter((one) => !copied.includes(one))).toEqual([]);
    for (const file of copied) expect(existsSync(new URL(`../${file}`, import.meta.url))).toBe(true);
  });

  it('runs as a user without rights, on the newest Node that tests run on', () => {
    expect(dockerfile).toContain(`FROM node:${NODE_RELEASES.at(-1)?.version}-slim AS base`);
    for (const target of ['runtime', 'simulator', 'kinesis']) {
      const stage = dockerfile
        .split(/^FROM /m)
        .find((text) => text.split('\n')[0]?.endsWith(` AS ${target}`));
      expect(stage).toContain('\nUSER node\n');
    }
  });
});
