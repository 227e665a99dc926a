import { readFileSync } from 'node:fs';
import { PlaidErrorType } from 'plaid';
import type { FailureType, Failure } from '../../domain/failures.js';
import { isRetryable } from '../../domain/failures.js';
import {
  beginsEpisode,
  closesAccounts,
  codesWithoutUpdateMode,
  failureTypeOf,
  isUnsupported,
  meaningOf,
  plaidErrors,
  updateModeHelps,
  wantsConsent,
} from '../../domain/plaidErrors.js';
import type { PlaidErrorMeaning } from '../../domain/plaidErrors.js';
import { problemOfPlaid } from '../../api/errors.js';
import { failureOfAnswer } from '../../src/clients/plaidFailures.js';
import { publishedCodes } from './publishedErrorCodes.js';

const table: [string, PlaidErrorMeaning][] = Object.entries(plaidErrors);
const document = readFileSync('docs/plaid-errors.md', 'utf8');

/** The rows of the table under a heading of the document, cell by cell, without code marks. */
function rowsUnder(heading: string): string[][] {
  const section = document.split(`\n## ${heading}\n`)[1]?.split('\n## ')[0] ?? '';
  return section
    .split('\n')
    .filter((line) => line.startsWith('| `'))
    .map((line) =>
      line
        .split('|')
        .slice(1, -1)
        .map((cell, column) => (column < 2 ? cell.trim().replaceAll('`', '') : cell.trim())),
    );
}

const failureOf = (error_type: string, error_code: string): Failure =>
  failureOfAnswer(
    '/path',
    { status: 400, body: { error_type, error_code, request_id: 'r1' }, retryAfter: undefined },
    0,
  );

describe("the table of Plaid's error codes", () => {
  it('knows every code that Plaid has published, and no other', () => {
    expect(Object.keys(plaidErrors).sort()).toEqual([...publishedCodes].sort());
  });

  it('has its row in the documentation, one a code, with the same failure and the same actor', () => {
    const rows = rowsUnder('Codes');
    const told = rows.map(([code, failure, actor]) => [code, failure, actor]);
    const known = table.map(([code, { failure, actor }]) => [code, failure, actor]);
    const byCode = ([a]: (string | undefined)[], [b]: (string | undefined)[]): number =>
      (a ?? '') < (b ?? '') ? -1 : 1;
    expect(told.sort(byCode)).toEqual(known.sort(byCode));
    expect(rows.filter(([, , , means]) => (means ?? '').length < 10)).toEqual([]);
  });

  it('tells of each failure how it is shown and retried, as the program does it', () => {
    const rows = new Map(rowsUnder('Failures').map((row) => [row[0], row]));
    const used = new Set(table.map(([, { failure }]) => failure));
    expect([...rows.keys()].sort()).toEqual([...used].sort());
    for (const type of used) {
      const [, episode, updateMode, retried] = rows.get(type) ?? [];
      const code = table.find(([, { failure }]) => failure === type)?.[0] ?? '';
      const mode = updateModeHelps(code) ? 'yes' : 'no';
      expect([type, episode]).toEqual([type, beginsEpisode(type) ? 'yes' : 'no']);
      expect([type, updateMode]).toEqual([type, beginsEpisode(type) ? mode : '-']);
      expect([type, retried === 'soon']).toEqual([type, isRetryable(type)]);
    }
  });

  it.each(table)('is what the adapter reads: %s', (code, { failure }) => {
    expect(failureOf('ITEM_ERROR', code).type).toBe(failure);
    expect(failureTypeOf({ error_type: 'A_TYPE_OF_TOMORROW', error_code: code })).toBe(failure);
  });

  it.each(Object.values(PlaidErrorType))('takes an unknown code of type %s for an outage', (type) => {
    const failure = failureOf(type, 'A_CODE_OF_TOMORROW');
    const outages: FailureType[] = ['UPSTREAM_DOWN', 'INSTITUTION_DOWN', 'RATE_LIMITED'];
    expect(outages).toContain(failure.type);
    expect(failure.retryable).toBe(true);
    expect(beginsEpisode(failure.type)).toBe(false);
    expect(problemOfPlaid(failure).statusCode).toBeGreaterThanOrEqual(500);
  });

  it('is asked for codes as they are written, and for nothing that objects have by themselves', () => {
    expect(['constructor', 'toString', '__proto__', 'item_login_required'].map(meaningOf)).toEqual([
      null,
      null,
      null,
      null,
    ]);
  });

  it('says what ends an episode', () => {
    expect(updateModeHelps('ITEM_LOGIN_REQUIRED')).toBe(true);
    expect(updateModeHelps('INSTITUTION_NO_LONGER_SUPPORTED')).toBe(false);
    // Codes that were noted for want of one of Plaid's.
    expect(['PERMISSION_REVOKED', 'ITEM_GONE', 'LOGIN_REQUIRED'].map(updateModeHelps)).toEqual([
      false,
      false,
      true,
    ]);
    expect(codesWithoutUpdateMode).toEqual(
      expect.arrayContaining(['USER_PERMISSION_REVOKED', 'PERMISSION_REVOKED', 'MFA_NOT_SUPPORTED']),
    );
    expect(codesWithoutUpdateMode).not.toContain('INSTITUTION_DOWN');
    const consented = table.map(([code]) => code).filter(wantsConsent);
    expect(consented.sort()).toEqual([
      'ACCESS_NOT_GRANTED',
      'ADDITIONAL_CONSENT_REQUIRED',
      'PRODUCT_PERMISSIONS_REQUIRED',
    ]);
    expect(isUnsupported('INSTITUTION_NO_LONGER_SUPPORTED')).toBe(true);
    expect(isUnsupported('ITEM_LOGIN_REQUIRED')).toBe(false);
    expect(table.map(([code]) => code).filter(closesAccounts)).toEqual(['NO_ACCOUNTS']);
  });
});
