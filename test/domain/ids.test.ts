import fc from 'fast-check';
import {
  erasureWorkflowId,
  historyWorkflowId,
  itemWorkflowId,
  linkWorkflowId,
  loginRequestWorkflowId,
  loginWorkflowId,
  parseWorkflowId,
  remineWorkflowId,
  secretContext,
} from '../../domain/ids.js';

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
    'erasure/a/b',
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
        expect(parseWorkflowId(erasureWorkflowId(id))).toEqual({ kind: 'erasure', erasureId: id });
        expect(parseWorkflowId(loginRequestWorkflowId(id))).toEqual({ kind: 'loginRequest', requestId: id });
      }),
    );
  });
});

describe('a workflow id of the longest parts', () => {
  it.each(['a', 'ж', '漢', '😀'])(
    'of %s has the 1,000 bytes that Temporal takes, and is its own',
    (character) => {
      const [one, other] = [`${character.repeat(255)}1`, `${character.repeat(255)}2`];
      const ids = [one, other].flatMap((id) => [
        itemWorkflowId(id),
        historyWorkflowId(id),
        remineWorkflowId(id, 2_147_483_647),
        loginWorkflowId(character.repeat(128)),
      ]);
      for (const id of ids) expect(Buffer.byteLength(id)).toBeLessThanOrEqual(1_000);
      expect(new Set(ids).size).toBe(7);
    },
  );
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
