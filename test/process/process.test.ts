import type { ProcessUnderTest } from './processUnderTest.js';
import { startProcess } from './processUnderTest.js';
import { canary } from './foreignError.mjs';

const started: ProcessUnderTest[] = [];
afterEach(() => {
  for (const { child } of started.splice(0)) child.kill('SIGKILL');
});

const start = (how: string): ProcessUnderTest => {
  const process = startProcess('test/process/anyProcess.ts', [how]);
  started.push(process);
  return process;
};
const ready = async (how: string): Promise<ProcessUnderTest> => {
  const process = start(how);
  await process.says('any ready');
  return process;
};

/** What is said of a foreign error: its class, its code, the lines of ours that it came through, and no more. */
function expectReport(said: string): void {
  expect(said).toContain('AxiosError');
  expect(said).toContain('ERR_BAD_REQUEST');
  expect(said).toContain('test/process/foreignError.mjs:');
  expect(said).toContain('ECONNRESET');
  expect(said).not.toContain(canary);
  expect(said).not.toContain('node_modules');
  expect(said).not.toContain('node:internal');
}

describe('a process', () => {
  it.each(['SIGTERM', 'SIGINT'] as const)('ends its work on %s, then itself with 0', async (signal) => {
    const { child, said, ended } = await ready('runs');
    child.kill(signal);
    expect(await ended).toBe(0);
    expect(said()).toContain('work is done');
    expect(said()).toContain(`"reason":"${signal}"`);
  });

  it('takes the repeats of one Ctrl-C, by the terminal and by npm, for one wish', async () => {
    const { child, said, ended } = await ready('runs');
    child.kill('SIGINT');
    child.kill('SIGINT');
    child.kill('SIGTERM');
    expect(await ended).toBe(0);
    expect(said()).toContain('work is done');
  });

  it('ends at once when it is asked again', async () => {
    const { child, says, ended } = await ready('never-stops');
    child.kill('SIGTERM');
    await says('any stopping');
    await new Promise((resolve) => setTimeout(resolve, 1_500));
    expect(child.exitCode).toBeNull();
    child.kill('SIGTERM');
    expect(await ended).toBe(1);
  });

  it.each([
    ['an uncaught error', 'SIGUSR2'],
    ['an unhandled rejection', 'SIGWINCH'],
  ] as const)('ends its work on %s and shows nothing that the error holds', async (_what, signal) => {
    const { child, said, ended } = await ready('runs');
    child.kill(signal);
    expect(await ended).toBe(1);
    expect(said()).toContain('work is done');
    expectReport(said());
  });

  it.each([
    ['thrown', 'SIGURG'],
    ['rejected with', 'SIGIO'],
  ] as const)('ends its work, and itself with 1, when nothing at all is %s', async (_how, signal) => {
    const { child, said, ended } = await ready('runs');
    child.kill(signal);
    expect(await ended).toBe(1);
    expect(said()).toContain('work is done');
    expect(said()).toContain('any failed');
  });

  it('ends at once when an error comes while it stops', async () => {
    const { child, says, said, ended } = await ready('never-stops');
    child.kill('SIGTERM');
    await says('any stopping');
    child.kill('SIGUSR2');
    expect(await ended).toBe(1);
    expectReport(said());
  });

  it('ends with 1 when its work ends by itself, or does not stop cleanly', async () => {
    const ends = start('ends');
    expect(await ends.ended).toBe(1);
    expect(ends.said()).toContain('work is done');
    expectReport(ends.said());
    const stubborn = await ready('fails-to-stop');
    stubborn.child.kill('SIGTERM');
    expect(await stubborn.ended).toBe(1);
    expectReport(stubborn.said());
  });

  it('that cannot start says why, as far as it may', async () => {
    const cannot = start('cannot-start');
    expect(await cannot.ended).toBe(1);
    expect(cannot.said()).toContain('any: could not start');
    expectReport(cannot.said());
    const unusable = start('unusable');
    expect([await unusable.ended, unusable.said()]).toEqual([1, 'says what is wrong\n']);
  });
});

describe('a one-shot job', () => {
  const job = async (signal: NodeJS.Signals): Promise<ProcessUnderTest> => {
    const process = startProcess('test/process/anyJob.ts');
    started.push(process);
    await process.says('job ready');
    process.child.kill(signal);
    return process;
  };

  it.each(['SIGUSR2', 'SIGWINCH'] as const)('ends with 1 on what nobody caught (%s)', async (signal) => {
    const { said, ended } = await job(signal);
    expect(await ended).toBe(1);
    expectReport(said());
  });

  it.each(['SIGURG', 'SIGIO'] as const)('and where that is nothing at all (%s)', async (signal) => {
    const { said, ended } = await job(signal);
    expect(await ended).toBe(1);
    expect(said()).toContain('job failed: undefined');
  });
});

describe('a command of the local stack', () => {
  const command = async (how: string): Promise<ProcessUnderTest> => {
    const process = startProcess('test/process/anyCommand.ts', [how]);
    started.push(process);
    await process.says('command ready');
    return process;
  };

  it.each(['SIGTERM', 'SIGINT'] as const)(
    'stops what it has started on %s, then ends with 0',
    async (signal) => {
      const { child, said, ended } = await command('runs');
      child.kill(signal);
      child.kill(signal);
      expect(await ended).toBe(0);
      expect(said()).toContain('all is stopped');
    },
  );

  it.each(['SIGUSR2', 'SIGWINCH'] as const)(
    'stops what it has started on what nobody caught (%s), and shows nothing that it holds',
    async (signal) => {
      const { child, said, ended } = await command('runs');
      child.kill(signal);
      expect(await ended).toBe(1);
      expect(said()).toContain('all is stopped');
      expectReport(said());
    },
  );

  it.each(['SIGURG', 'SIGIO'] as const)('and where that is nothing at all (%s)', async (signal) => {
    const { child, said, ended } = await command('runs');
    child.kill(signal);
    expect(await ended).toBe(1);
    expect(said()).toContain('all is stopped');
  });

  it('ends at once when another error comes while it stops', async () => {
    const { child, says, said, ended } = await command('never-stops');
    child.kill('SIGTERM');
    await says('command stopping');
    child.kill('SIGUSR2');
    expect(await ended).toBe(1);
    expectReport(said());
  });

  it('that fails says why, as far as it may, and one that has come to nothing good ends with 1', async () => {
    const fails = await command('fails');
    expect(await fails.ended).toBe(1);
    expectReport(fails.said());
    const setup = await command('cannot');
    expect(await setup.ended).toBe(1);
    expect(setup.said()).toContain('sluice: do this first\n');
    expect(await (await command('in-vain')).ended).toBe(1);
  });
});
