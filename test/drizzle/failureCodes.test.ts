import { databaseFailure } from '../../drizzle/failures.js';
import { Failure } from '../../src/domain/failures.js';

const of = (code: string) => databaseFailure(Object.assign(new Error('canary'), { code, detail: 'canary' }));

describe('an error of the database', () => {
  it.each([
    ['a name that cannot be resolved now', 'EAI_AGAIN'],
    ['a host that cannot be reached', 'EHOSTUNREACH'],
    ['a connection that broke', 'CONNECTION_CLOSED'],
    ['a deadlock', '40P01'],
    ['a serialization failure', '40001'],
    ['too many connections', '53300'],
    ['a statement that took too long', '57014'],
    ['a transaction that idled too long', '25P03'],
    ['a server that became a replica', '25006'],
    ['a lock that is taken', '55P03'],
  ])('is UPSTREAM_DOWN: %s', (_, code) => {
    expect(of(code)).toMatchObject({ type: 'UPSTREAM_DOWN' });
  });

  it.each(['22P02', '23505', '42P01'])('is BAD_REQUEST when a repeat cannot mend it: %s', (code) => {
    const failure = of(code);
    expect(failure).toMatchObject({ type: 'BAD_REQUEST' });
    expect((failure as Failure).message).not.toContain('canary');
  });

  it('is left alone when it is a Failure already, or a mistake of ours', () => {
    const failure = new Failure('ITEM_GONE', 'gone');
    expect(databaseFailure(failure)).toBe(failure);
    const mistake = new TypeError('a is not a function');
    expect(databaseFailure(mistake)).toBe(mistake);
  });
});
