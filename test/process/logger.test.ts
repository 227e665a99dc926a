import { Failure } from '../../domain/failures.js';
import type { Logger } from '../../src/logger.js';
import { createLogger } from '../../src/logger.js';
import { temporalLogger } from '../../src/temporalLogger.js';
import { ConfigError } from '../../src/config.js';
import { canary, foreignError } from './foreignError.mjs';

/** The lines that a logger writes, as text; pino writes past `process.stdout`, to a stream that a test may give. */
function lines(use: (logger: Logger) => void): string {
  let text = '';
  use(createLogger('test', 'trace', { write: (line) => void (text += line) }));
  return text;
}

describe('a line about a foreign error', () => {
  it.each<[string, (logger: Logger, error: Error) => void]>([
    ['under err', (logger, err) => logger.error({ err }, 'it failed')],
    ['under error', (logger, error) => logger.error({ error }, 'it failed')],
    ['alone', (logger, error) => logger.error(error)],
    ['alone, with a text', (logger, error) => logger.error(error, 'it failed')],
    ['without a text', (logger, err) => logger.warn({ err })],
    ['with its own message, as Fastify does', (logger, err) => logger.error({ err }, err.message)],
    ['by a child', (logger, err) => logger.child({ request_id: 'r' }).error({ err }, err.message)],
    ["through Temporal's logger", (logger, error) => temporalLogger(logger).error('it failed', { error })],
    [
      "in Temporal's own fields",
      (logger, error) =>
        temporalLogger(logger).warn('it failed', { error, cause: error, text: error.message }),
    ],
  ])('shows class and code: %s', (_how, write) => {
    const text = lines((logger) => write(logger, foreignError()));
    expect(text).toContain('"class":"AxiosError"');
    expect(text).toContain('"code":"ERR_BAD_REQUEST"');
    expect(text).not.toContain(canary);
    expect(JSON.parse(text)).toMatchObject({ msg: expect.stringMatching(/^(it failed|AxiosError)$/) });
  });

  it('is one of ours only by its class, never by its name', () => {
    const named = Object.assign(foreignError(), { name: 'Failure' });
    expect(lines((logger) => logger.error({ err: named }, 'it failed'))).not.toContain(canary);
  });
});

it('a line about our own errors says what they say', () => {
  const failure = new Failure('UPSTREAM_DOWN', 'the bank is closed');
  expect(JSON.parse(lines((logger) => logger.error({ err: failure })))).toMatchObject({
    msg: 'the bank is closed',
    err: { class: 'Failure', type: 'UPSTREAM_DOWN', message: 'the bank is closed' },
  });
  const refused = new ConfigError('PORT: is missing');
  expect(lines((logger) => logger.error({ err: refused }, 'no'))).toContain('PORT: is missing');
});
