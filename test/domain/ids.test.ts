import fc from 'fast-check';
import {
  historyWorkflowId,
  itemWorkflowId,
  linkWorkflowId,
  loginRequestWorkflowId,
  loginWorkflowId,
  parseWorkflowId,
  secretContext,
} from '../../src/domain/ids.js';

const plaidId = fc.stringMatching(/^[A-Za-z0-9]{1,40}$/);

describe('workflow ids', () => {
  it.each([
    '',
    'item',
    'item/',
    'item//history',
    'item/a/',
    'item/a/other',
    'item/a/history/b',
    'link/a/b',
    'login',
    'login/',
    'login-request/a/b',
    'sweep',
  ])('%p is none of ours', (id) => {
    expect(parseWorkflowId(id)).toBeNull();
  });

  it('builder and parser are each other’s inverse, case and all', () => {
    fc.assert(
      fc.property(plaidId, (id) => {
        expect(parseWorkflowId(itemWorkflowId(id))).toEqual({ kind: 'item', itemId: id });
        expect(parseWorkflowId(historyWorkflowId(id))).toEqual({ kind: 'history', itemId: id });
        expect(parseWorkflowId(linkWorkflowId(id))).toEqual({ kind: 'link', tokenHash: id });
        expect(parseWorkflowId(loginRequestWorkflowId(id))).toEqual({ kind: 'loginRequest', requestId: id });
      }),
    );
  });
});

describe('the workflow id of a login', () => {
  it('keeps whatever id the event has', () => {
    fc.assert(
      fc.property(fc.string({ minLength: 1 }), (id) => {
        expect(parseWorkflowId(loginWorkflowId(id))).toEqual({ kind: 'login', eventId: id });
      }),
    );
  });
});

describe('what binds a secret to its row', () => {
  it('is another for every table, column and row', () => {
    fc.assert(
      fc.property(plaidId, plaidId, plaidId, (a, b, account) => {
        fc.pre(a !== b);
        const contexts = [a, b].flatMap((id) => [
          secretContext.accessToken(id),
          secretContext.publicToken(id),
          secretContext.accountNumbers(id, account),
        ]);
        expect(new Set(contexts).size).toBe(6);
      }),
    );
  });
});
