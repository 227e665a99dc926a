import type { Probe } from '../domain/ports/figures.js';
import { within } from './deadline.js';

export interface Readiness {
  /** Whether everything answers that this process cannot work without. */
  ready: boolean;
  /** Every dependency by its name, also those that it can do without for a while. */
  dependencies: Record<string, { status: 'up' | 'down' }>;
}

/**
 * Asks the dependencies of a process, each for at most `askMs`. Everybody may ask: however many do at once, each dependency is
 * asked once. `onDown` gets why one does not answer.
 */
export function createReadiness(
  probes: readonly Probe[],
  askMs: number,
  onDown: (dependency: string, error: unknown) => void,
): () => Promise<Readiness> {
  async function askAll(): Promise<Readiness> {
    const answers = await Promise.all(
      probes.map(async (probe) => {
        const { name, needed } = probe;
        const up = await within(probe.check(), askMs, () => new Error('late')).then(
          () => true,
          (error: unknown) => {
            onDown(name, error);
            return false;
          },
        );
        return { name, up, holds: up || !needed };
      }),
    );
    return {
      ready: answers.every(({ holds }) => holds),
      dependencies: Object.fromEntries(
        answers.map(({ name, up }) => [name, { status: up ? ('up' as const) : ('down' as const) }]),
      ),
    };
  }
  let asking: Promise<Readiness> | null = null;
  return () => (asking ??= askAll().finally(() => (asking = null)));
}
