/**
 * What every session with PostgreSQL relies on, whatever the database, the role or the server says by default: how values are
 * written and read, where tables are, that it may write, that each statement sees what was committed before it, and that
 * nothing but a limit of ours ends it.
 */
const sessionSettings: Readonly<Record<string, string>> = {
  standard_conforming_strings: 'on',
  client_encoding: 'UTF8',
  bytea_output: 'hex',
  datestyle: 'ISO, MDY',
  intervalstyle: 'postgres',
  timezone: 'UTC',
  extra_float_digits: '1',
  array_nulls: 'on',
  // The migrations name it, and nothing of ours is anywhere else.
  search_path: 'public',
  default_transaction_read_only: 'off',
  default_transaction_isolation: 'read committed',
  statement_timeout: '0',
  lock_timeout: '0',
  idle_in_transaction_session_timeout: '0',
  idle_session_timeout: '0',
  // A host of ours that vanished says no goodbye: what its session holds is free after a minute, not after the kernel's two hours.
  tcp_keepalives_idle: '30',
  tcp_keepalives_interval: '10',
  tcp_keepalives_count: '3',
};

/** Settings that older servers do not have, by the version that brought them. */
const laterSettings: readonly { name: string; value: string; since: number }[] = [
  { name: 'transaction_timeout', value: '0', since: 170_000 },
];
const isLater = (name: string): boolean => laterSettings.some((later) => later.name === name);

export interface Host {
  host: string;
  port: number;
}

/** The hosts of a database's URL, as the driver has read them: by name and by port. */
export const hostsOf = ({ host, port }: { host: string[]; port: number[] }): Host[] =>
  host.map((one, index) => ({ host: one, port: port[index] as number }));

export interface SettingStatement {
  name: string;
  text: string;
}

const literal = (value: string): string => `'${value.replaceAll("'", "''")}'`;

/** A statement for each setting: the common ones, and `more` in their place or beside them. */
export function settingStatements(more: Readonly<Record<string, string>> = {}): SettingStatement[] {
  return [
    ...Object.entries({ ...sessionSettings, ...more })
      .filter(([name]) => !isLater(name))
      .map(([name, value]) => ({ name, text: `SET ${name} = ${literal(value)}` })),
    ...laterSettings.map(({ name, value, since }) => ({
      name,
      text:
        `SELECT set_config(${literal(name)}, ${literal(more[name] ?? value)}, false) ` +
        `WHERE current_setting('server_version_num')::int >= ${since}`,
    })),
  ];
}

/** Asked over one connection: the number of the server's process that answers. */
export type AskServerProcess = () => Promise<number>;

const questions = 32;

/**
 * Who of two asks the nth question: by the parity of n's bits (the Thue–Morse sequence). It has no period, so a pooler that gives
 * its sessions in turn cannot keep step with it.
 */
function whoAsks(n: number): 'one' | 'other' {
  let bits = n;
  let odd = false;
  while (bits > 0) {
    if (bits % 2 === 1) odd = !odd;
    bits = Math.floor(bits / 2);
  }
  return odd ? 'other' : 'one';
}

/**
 * Whether each of two connections has a process of the server to itself. Behind a pooler by transactions none has: idle, both
 * are given the same one; busy, or by turns, they are given another each time. A pool of two that others keep busy gives by
 * chance, so the questions are many: few would find each at its own process now and then.
 */
export async function sessionsAreOwn(one: AskServerProcess, other: AskServerProcess): Promise<boolean> {
  const ask = { one, other };
  const given: Record<'one' | 'other', number | null> = { one: null, other: null };
  for (let n = 0; n < questions; n += 1) {
    const who = whoAsks(n);
    const before = given[who];
    given[who] = await ask[who]();
    if (before !== null && given[who] !== before) return false;
    if (given.one === given.other) return false;
  }
  return true;
}

/** For operators, in one line. */
export const pooledByTransaction =
  'the pooler in front of the database gives each transaction another session, and settings and locks of a session do not hold there: ' +
  'let DATABASE_URL lead to PostgreSQL itself, or to a pool by session (docs/operations.md, Poolers)';
