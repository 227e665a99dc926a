import { setTimeout as sleep } from 'node:timers/promises';
import { remember } from '../../domain/remember.js';

export type Resolve = (host: string) => Promise<readonly string[]>;

const second = 1_000;
/** A name that took so long the last time was silent. */
const silence = second;
/** So long others may come that go before a name that was never asked for, and before one that was silent. */
const behindMs = { unknown: second, silent: 10 * second };
const mostRemembered = 10_000;
/** So old may an answer be that is used while another name's servers hold up the line. */
const longestOutdatedMs = 3_600_000;

interface Waiting {
  host: string;
  since: number;
  answered: (addresses: readonly string[]) => void;
  failed: (error: unknown) => void;
}

/**
 * `resolve`, for names that others have chosen: one at a time, and once for all who ask for the same meanwhile. The operating system is
 * asked on two threads of the process, by which it finds Plaid, PostgreSQL and the streams, too, and a name whose servers are silent
 * holds one for ten seconds and more. Those that answered the last time go first, then those that nobody has asked for, and not for ever.
 * Whoever is silent holds up one name once: who has come meanwhile goes before the next one that was. Who waits for longer than
 * `patience` is given what the name led to within the last hour: one application's dead name makes no other's endpoint late.
 * @param elapsed milliseconds, by a clock that takes no step
 */
export function createNameLookups(
  resolve: Resolve,
  elapsed: () => number = () => performance.now(),
  patience: () => Promise<unknown> = () => sleep(second, undefined, { ref: false }),
): Resolve {
  const asked = new Map<string, Promise<readonly string[]>>();
  /** Milliseconds. */
  const took = new Map<string, number>();
  const answers = new Map<string, { addresses: readonly string[]; at: number }>();
  let line: Waiting[] = [];
  let busy = false;
  /** When the last one that was silent had held up the line: whichever, and one that had been silent before. */
  const heldUpUntil = { byAny: -Infinity, bySilent: -Infinity };

  const place = ({ host, since }: Waiting): number => {
    const last = took.get(host);
    if (last !== undefined && last < silence) return since + last;
    const behindAny = Math.max(since, heldUpUntil.byAny) + behindMs.unknown;
    if (last === undefined) return behindAny;
    // New ones that turn out to be silent keep it from its time no longer than those that came before it.
    return Math.max(behindAny, Math.max(since, heldUpUntil.bySilent) + behindMs.silent);
  };

  async function ask({ host, answered, failed }: Waiting): Promise<void> {
    const since = elapsed();
    try {
      const addresses = await resolve(host);
      remember(answers, host, { addresses, at: elapsed() }, mostRemembered);
      answered(addresses);
    } catch (error) {
      answers.delete(host);
      failed(error);
    }
    const ms = elapsed() - since;
    if (ms >= silence) heldUpUntil.byAny = elapsed();
    if (ms >= silence && (took.get(host) ?? 0) >= silence) heldUpUntil.bySilent = elapsed();
    remember(took, host, ms, mostRemembered);
    asked.delete(host);
  }

  async function askAll(): Promise<void> {
    if (busy) return;
    busy = true;
    while (line.length > 0) {
      const next = line.reduce((best, one) => (place(one) < place(best) ? one : best));
      line = line.filter((one) => one !== next);
      await ask(next);
    }
    busy = false;
  }

  function lookUp(host: string): Promise<readonly string[]> {
    const known = asked.get(host);
    if (known !== undefined) return known;
    const answer = new Promise<readonly string[]>((answered, failed) => {
      line.push({ host, since: elapsed(), answered, failed });
    });
    asked.set(host, answer);
    void askAll();
    return answer;
  }

  return async (host) => {
    const answer = lookUp(host);
    const before = answers.get(host);
    if (before === undefined || elapsed() - before.at > longestOutdatedMs) return answer;
    // What comes of the question is for whoever asks next.
    answer.catch(() => undefined);
    return Promise.race([answer, patience().then(() => before.addresses)]);
  };
}
