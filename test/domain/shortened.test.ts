import fc from 'fast-check';
import { fairnessKey } from '../../domain/fairness.js';
import { fnv1a } from '../../domain/fnv1a.js';
import { keyword, summary } from '../../domain/operatorTexts.js';
import { shortened } from '../../domain/shortened.js';

const text = fc.string({ unit: 'binary', maxLength: 300 });
const bytes = (value: string): number => Buffer.byteLength(value);

describe('FNV-1a', () => {
  // From the authors' test vectors.
  it.each([
    ['', 'cbf29ce484222325'],
    ['a', 'af63dc4c8601ec8c'],
    ['foobar', '85944171f73967e8'],
  ])('of %p is the published one', (value, hash) => {
    expect(fnv1a(value)).toBe(hash);
  });

  it('tells texts apart that differ in one half of a character, or in its high byte', () => {
    const alike = ['ж', 'Ж', '6', '\u0436', '\u0536', '😀', '😁', '\ud83d', '\ude00', '\ude00\ud83d'];
    expect(new Set(alike.map(fnv1a)).size).toBe(new Set(alike).size);
  });
});

describe('a fairness key', () => {
  it('has at most 64 bytes, whatever the user id, and is the same for the same one', () => {
    fc.assert(
      fc.property(text, (userId) => {
        expect(bytes(fairnessKey(userId))).toBeLessThanOrEqual(64);
        expect(fairnessKey(userId)).toBe(fairnessKey(`${userId}`));
      }),
    );
  });

  it('is another for users whose ids begin alike', () => {
    const long = '😀'.repeat(127);
    expect(fairnessKey(`${long}a`)).not.toBe(fairnessKey(`${long}b`));
  });
});

describe('a text for a field of so many bytes', () => {
  it('stays as it is where it fits, else fits and has its own end', () => {
    fc.assert(
      fc.property(text, fc.integer({ min: 17, max: 400 }), (value, limit) => {
        const short = shortened(value, limit);
        if (bytes(value) <= limit) expect(short).toBe(value);
        else {
          expect(bytes(short)).toBeLessThanOrEqual(limit);
          expect(short.endsWith(`~${fnv1a(value)}`)).toBe(true);
          expect(value.startsWith(short.slice(0, -17))).toBe(true);
          // A character is never cut in two.
          expect(short.isWellFormed()).toBe(value.slice(0, short.length - 17).isWellFormed());
        }
      }),
    );
  });

  it('is whole as a summary or keyword for every id that Plaid has given so far', () => {
    const itemId = 'Ed6bjNrDLJfGvZWwnkQlfxwoNz54B5C97ejBr';
    expect([summary(`item ${itemId}`), keyword(itemId)]).toEqual([`item ${itemId}`, itemId]);
  });

  it('has at most 255 characters as a keyword, and keeps the longest user id', () => {
    const userId = '😀'.repeat(128);
    expect(keyword(userId)).toBe(userId);
    expect([...keyword('😀'.repeat(256))].length).toBeLessThanOrEqual(255);
  });
});
