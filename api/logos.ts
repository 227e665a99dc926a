import type { ApiDeps, ApiLimits } from './deps.js';
import { within } from './deadline.js';
import { loggedError } from './errors.js';

/** Fetches that may be on their way at once; what is beyond gets its logo with a later list. */
const atOnce = 4;
/** An institution that gave none is asked again after this long: it has none, or Plaid could not be asked. */
const retryAfterMs = { none: 86_400_000, failed: 60_000 };
/** Plaid lists some 12,000 institutions. */
const mostRemembered = 20_000;

export interface Logos {
  /** Base64 PNGs by institution. Never rejects; what cannot be had in time is left out. */
  of(institutionIds: readonly (string | null)[]): Promise<Map<string, string>>;
}

type Deps = Pick<ApiDeps, 'institutions' | 'directory' | 'logger'>;

/** Logos from the cache; one that it lacks is fetched from Plaid, once for all who wait for it, and kept. */
export function createLogos(deps: Deps, limits: Pick<ApiLimits, 'logoMs'>, elapsed: () => number): Logos {
  const { institutions, directory, logger } = deps;
  const fetching = new Map<string, Promise<string | null>>();
  const retryAt = new Map<string, number>();

  const remember = (id: string, pauseMs: number): void => {
    if (retryAt.size >= mostRemembered) retryAt.clear();
    retryAt.set(id, elapsed() + pauseMs);
  };

  async function fetched(id: string): Promise<string | null> {
    try {
      // Who read the cache just before another's fetch was kept, and comes here after it, finds it there.
      const kept = (await institutions.logos([id])).get(id);
      if (kept !== undefined) return kept;
      const askedAt = await institutions.now();
      const institution = await directory.get(id);
      await institutions.save(id, askedAt, institution);
      const logo = institution.logo ?? null;
      if (logo === null) remember(id, retryAfterMs.none);
      return logo;
    } catch (error) {
      logger.warn(loggedError(error), 'a logo could not be fetched');
      remember(id, retryAfterMs.failed);
      return null;
    } finally {
      fetching.delete(id);
    }
  }

  function fetchOnce(id: string): Promise<string | null> {
    const running = fetching.get(id);
    if (running !== undefined) return running;
    if (fetching.size >= atOnce || (retryAt.get(id) ?? Number.NEGATIVE_INFINITY) > elapsed())
      return Promise.resolve(null);
    const run = fetched(id);
    fetching.set(id, run);
    return run;
  }

  return {
    async of(institutionIds) {
      const ids = [...new Set(institutionIds.filter((id) => id !== null))];
      if (ids.length === 0) return new Map();
      const logos = await institutions.logos(ids).catch((error: unknown) => {
        logger.warn(loggedError(error), 'logos could not be read');
        return null;
      });
      if (logos === null) return new Map();
      const missing = ids.filter((id) => !logos.has(id));
      await within(
        Promise.all(
          missing.map(async (id) => {
            const logo = await fetchOnce(id);
            if (logo !== null) logos.set(id, logo);
          }),
        ),
        limits.logoMs,
        () => new Error('late'),
      ).catch(() => undefined);
      return new Map(logos);
    },
  };
}
