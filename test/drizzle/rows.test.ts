import { firstOf } from '../../drizzle/rows.js';

describe('the first row of an answer', () => {
  it('is the first, or none', () => {
    expect(firstOf<{ n: number }>([{ n: 1 }, { n: 2 }])).toEqual({ n: 1 });
    expect(firstOf<{ n: number }>([])).toBeUndefined();
  });

  it('is a fault where a hole stands in its place, never "there is none"', () => {
    const holes = [, { n: 1 }] as { n: number }[];
    expect(() => firstOf<{ n: number }>(holes)).toThrow(
      expect.objectContaining({ type: 'UPSTREAM_DOWN' }) as Error,
    );
  });
});
