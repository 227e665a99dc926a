import { Failure } from '../domain/failures.js';
import type { Probe } from '../domain/ports/figures.js';
import { within } from './deadline.js';

export interface DependencyState {
  status: 'up' | 'down';
  /** One line, where an operator has to act: what is missing or wrong. */
  reason?: string;
}

export interface Readiness {
  /** Whether everything answers that this process cannot work without. */
  ready: boolean;
  /** Every dependency by its name, also those that it can do without for a while. */
  dependencies: Record<string, DependencyState>;
}

/** Our own words alone: those of others may hold what is not everybody's. */
const stateAfter = (error: unknown): DependencyState =>
  error instanceof Failure && error.type === 'MISCONFIGURED'
    ? { status: 'down', reason: error.message }
    : { status: 'down' };

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
        const state = await within(probe.check(), askMs, () => new Error('late')).then(
          (): DependencyState => ({ status: 'up' }),
          (error: unknown) => {
            onDown(name, error);
            return stateAfter(error);
          },
        );
        return { name, state, holds: state.status === 'up' || !needed };
      }),
    );
    return {
      ready: answers.every(({ holds }) => holds),
      dependencies: Object.fromEntries(answers.map(({ name, state }) => [name, state])),
    };
  }
  let asking: Promise<Readiness> | null = null;
  return () => (asking ??= askAll().finally(() => (asking = null)));
}
