import { Context } from '@temporalio/activity';

/**
 * Asks only as long as somebody waits for the activity's answer. An attempt that was cancelled, that has timed out or that its
 * worker has no time left for ends here with Temporal's CancelledFailure: at once where it waits, and before anything is begun.
 */
async function unlessOver<Answer>(ask: () => Promise<Answer>): Promise<Answer> {
  const { cancellationSignal, cancelled } = Context.current();
  if (cancellationSignal.aborted) return cancelled;
  return Promise.race([ask(), cancelled]);
}

/** A port of an activity that hears when its attempt is over. What was asked before may still be carried out. */
function hearing<Port extends object>(port: Port): Port {
  // Over an object of its own: a proxy may not answer for the methods of a frozen one.
  return new Proxy({} as Port, {
    get(_own, name) {
      const value: unknown = Reflect.get(port, name);
      if (typeof value !== 'function') return value;
      return (...args: unknown[]) => unlessOver(() => Reflect.apply(value, port, args) as Promise<unknown>);
    },
  });
}

/** All ports among the dependencies, hearing; everything else as it is. */
export function hearCancellation<Deps extends object>(deps: Deps, ports: readonly (keyof Deps)[]): Deps {
  const heard = { ...deps };
  for (const name of ports) {
    const port = deps[name];
    if (typeof port === 'object' && port !== null) heard[name] = hearing(port);
  }
  return heard;
}
