/** What a comparison with the truth came to. All lists empty = equal. */
export interface Verdict {
  /** In truth there, with us not. */
  lost: string[];
  /** With us there, in truth not. */
  phantom: string[];
  /** There on both sides, with other content. */
  stale: string[];
  /** Announced twice under two names, or numbered twice. */
  dup: string[];
  /** Everything else that must not be: gaps, disorder, events against their schema. */
  other: string[];
}

export const emptyVerdict = (): Verdict => ({ lost: [], phantom: [], stale: [], dup: [], other: [] });

export const verdictParts = ['lost', 'phantom', 'stale', 'dup', 'other'] as const;

/** Adds what `more` has found to `all`, under a name. */
export function addTo(all: Verdict, more: Verdict, name: string): void {
  for (const part of verdictParts) all[part].push(...more[part].map((line) => `${name}: ${line}`));
}

export const isClean = (verdict: Verdict): boolean =>
  verdictParts.every((part) => verdict[part].length === 0);
