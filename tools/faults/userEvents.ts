import { PutRecordsCommand } from '@aws-sdk/client-kinesis';
import { loginWorkflowId } from '../../domain/ids.js';
import { openKinesisClient } from '../../src/clients/kinesisClient.js';
import type { Chance } from './chance.js';
import { between, mulberry32, pick } from './chance.js';
import type { System } from './system.js';
import type { Verdict } from './verdict.js';
import { emptyVerdict } from './verdict.js';

interface Word {
  status: 'active' | 'closed';
  occurredAt: string;
}

/** What other services have said of users by the stream of user events, and what has to come of it. */
export interface Said {
  /** The latest word of each float, by user and float. */
  floats: Map<string, Map<string, Word>>;
  /** Event ids of logins. */
  logins: string[];
  /** Logins whose check has ended well. */
  checked: Set<string>;
  /** Records that are no events. */
  poison: number;
}

export const nothingSaid = (): Said => ({
  ...{ floats: new Map(), logins: [], checked: new Set<string>(), poison: 0 },
});

interface Speech {
  prefix: string;
  users: readonly string[];
  words: number;
  seed: number;
}

const floatIds = ['f0', 'f1', 'f2', 'f3'];
const firstMoment = Date.UTC(2026, 0, 1);
const moments = 10_000_000;

/** Says `words` things of the users, in no order and most of them more than once; answers how many records that took. */
export async function sayOfUsers(system: System, said: Said, speech: Speech): Promise<number> {
  const chance = mulberry32(speech.seed);
  const records: { key: string; text: string }[] = [];
  for (let n = 0; n < speech.words; n += 1) {
    const event_id = `${speech.prefix}-${n}`;
    const user = pick(speech.users, chance) ?? 'nobody';
    const kind = chance();
    if (kind < 0.08) {
      said.poison += 1;
      records.push({ key: event_id, text: `${event_id} is no JSON` });
      continue;
    }
    const occurred_at = momentOf(n, chance);
    const isLogin = kind < 0.3;
    if (isLogin) said.logins.push(event_id);
    // Who has a float cannot have an Item removed: floats are of users of their own.
    const user_id = isLogin ? user : `${user}-float`;
    const event = isLogin
      ? { type: 'user.logged_in', user_id, event_id, occurred_at }
      : { ...floatOf(said, user_id, occurred_at, chance), user_id, event_id, occurred_at };
    for (let times = between(1, 3, chance); times > 0; times -= 1)
      records.push({ key: `${event_id}-${times}`, text: JSON.stringify(event) });
  }
  await put(system, shuffled(records, chance));
  return records.length;
}

/** No two of a round are the same. */
const momentOf = (n: number, chance: Chance): string =>
  new Date(firstMoment + Math.floor(chance() * moments))
    .toISOString()
    .replace('Z', `${String(n % 1_000).padStart(3, '0')}Z`);

function floatOf(
  { floats }: Said,
  userId: string,
  occurredAt: string,
  chance: Chance,
): { type: string; float_id: string } {
  const float_id = pick(floatIds, chance) ?? 'f0';
  const status = chance() < 0.5 ? 'active' : 'closed';
  const ofUser = floats.get(userId) ?? new Map<string, Word>();
  floats.set(userId, ofUser);
  if ((ofUser.get(float_id)?.occurredAt ?? '') < occurredAt) ofUser.set(float_id, { status, occurredAt });
  return { type: status === 'active' ? 'float.opened' : 'float.closed', float_id };
}

function shuffled<T>(list: readonly T[], chance: Chance): T[] {
  return list
    .map((one) => ({ one, place: chance() }))
    .sort((a, b) => a.place - b.place)
    .map(({ one }) => one);
}

/** Past every proxy: who says it is another service, whose own stream is none of ours to break. */
async function put(system: System, records: readonly { key: string; text: string }[]): Promise<void> {
  const client = openKinesisClient({
    region: 'us-east-1',
    endpoint: system.urls.kinesis,
    credentials: { accessKeyId: 'test', secretAccessKey: 'test' },
  });
  try {
    await client.send(
      new PutRecordsCommand({
        StreamName: `${system.streamPrefix}user-events`,
        Records: records.map(({ key, text }) => ({ PartitionKey: key, Data: Buffer.from(text) })),
      }),
    );
  } finally {
    client.destroy();
  }
}

/** What has been said and not been acted on yet, one line each. */
export async function unheard(system: System, said: Said): Promise<string[]> {
  const left: string[] = [];
  for (const eventId of said.logins) {
    if (said.checked.has(eventId)) continue;
    const status = await system.client.workflow
      .getHandle(loginWorkflowId(eventId))
      .describe()
      .then(({ status: { name } }) => name)
      .catch(() => 'not started');
    if (status === 'COMPLETED') said.checked.add(eventId);
    else left.push(`login ${eventId}: ${status}`);
  }
  const { lost, stale } = await judgeFloats(system, said);
  return [...left, ...lost, ...stale];
}

/** Floats are what the latest word says of them; of each login one check was made. */
export async function judgeUserEvents(system: System, said: Said): Promise<Verdict> {
  const verdict = await judgeFloats(system, said);
  for (const eventId of said.logins) {
    if (!said.checked.has(eventId)) verdict.lost.push(`logins: ${eventId} has no check that ended well`);
    const { count } = await system.client.workflow.count(`WorkflowId = '${loginWorkflowId(eventId)}'`);
    if (count > 1) verdict.dup.push(`logins: ${eventId} was checked ${count} times`);
  }
  return verdict;
}

async function judgeFloats(system: System, { floats }: Said): Promise<Verdict> {
  const verdict = emptyVerdict();
  const users = [...floats.keys()];
  if (users.length === 0) return verdict;
  const rows = await system.sql<{ user: string; float: string; status: string }[]>`
    SELECT user_id AS user, float_id AS float, status FROM floats WHERE user_id = ANY(${users}::text[])`;
  const held = new Map(rows.map(({ user, float, status }) => [`${user} ${float}`, status]));
  for (const [user, words] of floats)
    for (const [float, { status }] of words) {
      const found = held.get(`${user} ${float}`);
      held.delete(`${user} ${float}`);
      if (found === undefined) verdict.lost.push(`floats: ${float} of ${user}`);
      else if (found !== status) verdict.stale.push(`floats: ${float} of ${user} is ${found}, not ${status}`);
    }
  for (const key of held.keys()) verdict.phantom.push(`floats: ${key}`);
  return verdict;
}

/** Each record that is no event is parked once; `poison`: how many there were since the world began. */
export async function judgeParked(system: System, poison: number): Promise<Verdict> {
  const verdict = emptyVerdict();
  const [row] = await system.sql<{ rows: number; alerts: number }[]>`
    SELECT (SELECT count(*)::int FROM parked_events) AS rows,
      (SELECT count(*)::int FROM alerts WHERE kind = 'event_parked') AS alerts`;
  for (const [what, found] of Object.entries(row ?? {})) {
    if (found < poison) verdict.lost.push(`parked_events: ${poison - found} ${what}`);
    if (found > poison) verdict.phantom.push(`parked_events: ${found - poison} ${what}`);
  }
  return verdict;
}
