import type { PlaidPort } from '../../domain/ports/plaid.js';

/** One attempt's way to Plaid: the answer of one call is in hand, and is given to the attempt when the test says so. */
export interface Held<Port> {
  plaid: Port;
  /** Resolves when Plaid has answered the call; the attempt knows nothing of it yet. */
  answered: Promise<void>;
  release(): void;
}

/**
 * Holds the first answer (or refusal) of one of the `methods`; every other call goes straight through. `when` picks the answer
 * to hold among those of the methods.
 */
export function holdAnswer<Port extends object = PlaidPort>(
  plaid: Port,
  methods: readonly (keyof Port)[],
  when: (method: keyof Port, answer: unknown) => boolean = () => true,
): Held<Port> {
  let release = (): void => undefined;
  let tell = (): void => undefined;
  const gate = new Promise<void>((resolve) => (release = resolve));
  const answered = new Promise<void>((resolve) => (tell = resolve));
  const held = Object.create(plaid) as Port;
  let holding = true;
  for (const method of methods) {
    const call = async (...given: unknown[]): Promise<unknown> => {
      const ask = plaid[method] as (...args: unknown[]) => Promise<unknown>;
      const [end] = await Promise.allSettled([ask.apply(plaid, given)]);
      if (holding && when(method, end.status === 'fulfilled' ? end.value : end.reason)) {
        holding = false;
        tell();
        await gate;
      }
      if (end.status === 'rejected') throw end.reason;
      return end.value;
    };
    Object.defineProperty(held, method, { value: call });
  }
  return { plaid: held, answered, release: () => release() };
}
