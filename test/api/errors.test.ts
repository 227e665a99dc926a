import { loggedError, Problem } from '../../api/errors.js';
import { Failure } from '../../domain/failures.js';
import { canary, foreignError } from '../process/foreignError.mjs';

/** An error that a package has thrown deep within itself, called from a line of ours. */
function throughPackages(): Error {
  const error = new TypeError('x');
  error.stack = [
    'TypeError: x',
    '    at inner (/srv/sluice/node_modules/fastify/lib/reply.js:1:2)',
    '    at ours (/srv/sluice/api/app.ts:3:4)',
    '    at node:internal/process/task_queues:5:6',
    '    at /home/canary-user/other/place.js:7:8',
  ].join('\n');
  return error;
}

describe('what a log line says of an error', () => {
  it('is the class, the code and the lines of ours, and nothing that a foreign error holds', () => {
    const logged = loggedError(foreignError());
    expect(logged).toMatchObject({
      error: 'AxiosError',
      code: 'ERR_BAD_REQUEST',
      causes: ['Error ECONNRESET'],
      frames: expect.arrayContaining([expect.stringContaining('test/process/foreignError.mjs:')]),
    });
    expect(JSON.stringify(logged)).not.toContain(canary);
    expect(loggedError(throughPackages())).toMatchObject({ frames: ['ours (api/app.ts:3:4)'] });
  });

  it('is so for what a problem has for its cause, and for our own failures', () => {
    const problem = new Problem('internal_error', { cause: foreignError() });
    expect(JSON.stringify(loggedError(problem))).not.toContain(canary);
    const failure = Object.assign(new Failure('UPSTREAM_DOWN', 'down'), { stack: throughPackages().stack });
    expect(loggedError(failure)).toMatchObject({
      failure: 'UPSTREAM_DOWN',
      frames: ['ours (api/app.ts:3:4)'],
    });
    expect(loggedError(undefined)).toEqual({ error: 'undefined' });
  });
});
