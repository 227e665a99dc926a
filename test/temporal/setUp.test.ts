import { randomBytes } from 'node:crypto';
import { Connection } from '@temporalio/client';
import { ensureNamespace, checkTemporal, ensureSearchAttributes } from '../../src/temporal/setUp.js';
import { provisionTemporal } from '../../src/temporal/provision.js';
import type { SchedulesOptions } from '../../src/temporal/schedules.js';
import { testStack } from '../stack/testStack.js';
import { until } from '../workflows/harness.js';

let connection: Connection;
beforeAll(async () => {
  connection = await Connection.connect({ address: testStack().temporal_address });
});
afterAll(() => connection.close());

const day = 86_400_000;
const schedules: SchedulesOptions = {
  sweepEveryMs: day,
  sweepGraceMs: day,
  institutionsEveryMs: day,
  institutionPagesPerMinute: 10,
  institutionStatusEveryMs: day,
  cleanUpEveryMs: day,
  keep: {
    outbox: day,
    webhooks: day,
    links: day,
    parkedRows: day,
    parkedEvents: day,
    segmentEvents: day,
    balances: day,
    events: day,
  },
};
const newName = (): string => `set-up-${randomBytes(5).toString('hex')}`;
const state = (namespace: string): Promise<unknown> =>
  checkTemporal(connection, namespace).then(
    () => 'ready',
    (error: unknown) => error,
  );

it('a namespace that is not there is named, and provisioning makes it, with all that we need', async () => {
  const namespace = newName();
  expect(await state(namespace)).toMatchObject({
    name: 'Failure',
    type: 'MISCONFIGURED',
    message: `Temporal lacks the namespace "${namespace}": \`npm run provision\``,
  });
  const options = { address: testStack().temporal_address, namespace };
  await provisionTemporal(options, schedules, 60_000);
  await until(async () => (await state(namespace)) === 'ready');
  // What a repeat finds it leaves.
  await provisionTemporal(options, schedules, 60_000);
  expect(await state(namespace)).toBe('ready');
});

it('search attributes that are gone are named, and provisioning makes them again', async () => {
  const namespace = newName();
  await ensureNamespace(connection, namespace);
  await until(async () => {
    const missing = await state(namespace);
    return missing instanceof Error && missing.message.includes('SluicePhase');
  });
  await ensureSearchAttributes(connection, namespace);
  await until(async () => (await state(namespace)) === 'ready');
  await connection.operatorService.removeSearchAttributes({
    namespace,
    searchAttributes: ['SluicePhase', 'SluiceUser'],
  });
  await until(async () => (await state(namespace)) !== 'ready');
  expect(await state(namespace)).toMatchObject({
    type: 'MISCONFIGURED',
    message: 'Temporal lacks the search attributes SluiceUser, SluicePhase: `npm run provision`',
  });
  await provisionTemporal({ address: testStack().temporal_address, namespace }, schedules, 60_000);
  await until(async () => (await state(namespace)) === 'ready');
});

it('a server that nobody answers at is no set-up that is missing', async () => {
  const away = Connection.lazy({ address: '127.0.0.1:9' });
  try {
    await expect(checkTemporal(away, 'default', 1_000)).rejects.toMatchObject({ type: 'ORCHESTRATOR_DOWN' });
  } finally {
    await away.close();
  }
});
