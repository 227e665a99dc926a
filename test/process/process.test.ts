import type { ProcessUnderTest } from './processUnderTest.js';
import { startProcess } from './processUnderTest.js';
import { canary } from './foreignError.js';

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
  expect(said).toContain('test/process/foreignError.ts:');
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
