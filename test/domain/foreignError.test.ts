import { describeForeignError, foreignErrorText } from '../../domain/foreignError.js';
import { canary, foreignError } from '../process/foreignError.mjs';

describe('what is shown of a foreign error', () => {
  it('is its class, its code, those of its causes, and the lines of ours', () => {
    const report = describeForeignError(foreignError());
    expect(report).toEqual({
      class: 'AxiosError',
      code: 'ERR_BAD_REQUEST',
      causes: ['Error ECONNRESET'],
      frames: report.frames,
    });
    expect(report.frames[0]).toMatch(/^foreignError \(test\/process\/foreignError\.mjs:\d+:\d+\)$/);
    for (const frame of report.frames) expect(frame).not.toMatch(/node_modules|node:|jest/);
    expect(JSON.stringify(report) + foreignErrorText(foreignError())).not.toContain(canary);
  });

  it('is never what its message says, not even where that looks like a line of a stack', () => {
    const message = 'refused\n    at secret (/app/src/server.ts:1:1)';
    expect(describeForeignError(new Error(message)).frames.join()).not.toContain('secret');
  });

  it.each([
    ['a name from an answer', Object.assign(new Error('x'), { name: 'access-sandbox-1 2' }), 'Error'],
    ['a name that is no text', Object.assign(new TypeError('x'), { name: 7 }), 'TypeError'],
    ['a code that is a token', Object.assign(new Error('x'), { code: 'access-sandbox-1' }), 'Error'],
    ['a code that is a number', Object.assign(new Error('x'), { code: 14 }), 'Error 14'],
    ['a SQLSTATE', Object.assign(new Error('x'), { code: '42P01' }), 'Error 42P01'],
    ['no error at all', { secret: 'canary' }, 'object'],
    ['a text', 'canary', 'string'],
    ['an error without a stack', Object.assign(new Error('x'), { stack: undefined }), 'Error'],
    ['a cause that is its own cause', circular(), 'Error'],
  ])('%s', (_what, error, head) => {
    expect(foreignErrorText(error).split('\n')[0]).toBe(head);
  });
});

function circular(): Error {
  const error = new Error('x');
  error.cause = error;
  return error;
}
