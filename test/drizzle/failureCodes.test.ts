import { DrizzleQueryError } from 'drizzle-orm';
import { databaseFailure } from '../../drizzle/failures.js';
import { Failure } from '../../domain/failures.js';

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
    ['a transaction that took too long', '25P04'],
    ['a server that became a replica', '25006'],
    ['a lock that is taken', '55P03'],
    ['a plan that fits the table no more', '0A000'],
    ['an internal error of the server', 'XX000'],
    ['what another trigger raised', 'P0001'],
    ['a code that nobody knows yet', 'ZZ999'],
    ['a certificate that nobody vouches for', 'DEPTH_ZERO_SELF_SIGNED_CERT'],
    ['an error of another system that nobody knows', 'ESOMETHING'],
  ])('is UPSTREAM_DOWN: %s', (_, code) => {
    expect(of(code)).toMatchObject({ type: 'UPSTREAM_DOWN', retryable: true });
  });

  it('is the same by way of the query builder, whose own error quotes the statement and its parameters', () => {
    const refused = Object.assign(new Error('canary'), { code: '23505' });
    const failure = databaseFailure(new DrizzleQueryError('SELECT $1', ['canary'], refused));
    expect(failure).toMatchObject({ type: 'BAD_REQUEST', message: 'the database refused a value (23505)' });
    expect(String((failure as Failure).stack)).not.toContain('canary');
    const mistaken = new TypeError('a fault of ours');
    expect(databaseFailure(new DrizzleQueryError('SELECT $1', ['canary'], mistaken))).toBe(mistaken);
  });

  it.each([
    ['no value of its type', '22P02'],
    ['a date that is none', '22008'],
    ['a row that is there already', '23505'],
    ['a value that a check refuses', '23514'],
    ['a key that is too long for its index', '54000'],
  ])('is BAD_REQUEST when it names a value: %s', (_, code) => {
    const failure = of(code);
    expect(failure).toMatchObject({ type: 'BAD_REQUEST', retryable: false });
    expect((failure as Failure).message).not.toContain('canary');
  });

  it.each([
    ['a password that was rotated', '28P01'],
    ['a role that may not come in', '28000'],
    ['a missing right', '42501'],
    ['a missing table', '42P01'],
    ['a missing column', '42703'],
    ['a missing unique index', '42P10'],
    ['a missing function', '42883'],
    ['a missing database', '3D000'],
    ['a missing schema', '3F000'],
  ])('is MISCONFIGURED and tried again when an operator has to act: %s', (_, code) => {
    const failure = of(code);
    expect(failure).toMatchObject({ type: 'MISCONFIGURED', retryable: true });
    expect((failure as Failure).message).toContain(code);
    expect((failure as Failure).message).not.toContain('canary');
  });

  it('is left alone when it is a Failure already, or a mistake of ours', () => {
    const failure = new Failure('ITEM_GONE', 'gone');
    expect(databaseFailure(failure)).toBe(failure);
    const mistake = new TypeError('a is not a function');
    expect(databaseFailure(mistake)).toBe(mistake);
  });
});
