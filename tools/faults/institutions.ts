import { isDeepStrictEqual } from 'node:util';
import type { System } from './system.js';
import type { Verdict } from './verdict.js';
import { emptyVerdict } from './verdict.js';

type Institution = Record<string, unknown> & { institution_id: string; vanished_at?: string | null };

/** Of the simulator's list: from here on they have no Items of these runs. */
const firstOfMany = 200_100;
const renamed = 900_000;
/** Three of Plaid's pages. */
export const howMany = 1_100;
const pageSize = 500;

/** Institutions of the list, each under another id from now on: the old ones vanish, others come. */
export async function renameInstitutions(system: System, numbers: readonly number[]): Promise<void> {
  for (const n of numbers) {
    const of = `ins_${renamed + n}`;
    // One that has moved already stays where it is.
    await system.sim(`/_sim/institutions/ins_${firstOfMany + n}/alias`, { of }).catch(() => undefined);
  }
}

/** Asks for a walk through Plaid's list; false when Temporal is not there to be asked. */
export const syncInstitutions = (system: System): Promise<boolean> =>
  system.client.schedule
    .getHandle('institutions')
    .trigger()
    .then(
      () => true,
      () => false,
    );

/** How many walks the Schedule has begun, and whether one goes on. */
export async function walksOf(system: System): Promise<{ begun: number; isGoing: boolean }> {
  const { info } = await system.client.schedule.getHandle('institutions').describe();
  return { begun: info.numActionsTaken, isGoing: info.runningActions.length > 0 };
}

/** The cache of institutions, as REST shows it, against Plaid's list. */
export async function judgeInstitutions(system: System): Promise<Verdict> {
  const verdict = emptyVerdict();
  const kept = new Map<string, Institution>();
  for (let cursor: string | null = ''; cursor !== null;) {
    const route: string = `/v1/institutions?country=US&limit=300${cursor === '' ? '' : `&cursor=${encodeURIComponent(cursor)}`}`;
    const { status, body } = await system.api<{ data: Institution[]; next_cursor: string | null }>(
      'GET',
      route,
    );
    if (status !== 200) throw new Error(`institutions: ${status}`);
    for (const row of body.data) if ((row.vanished_at ?? null) === null) kept.set(row.institution_id, row);
    cursor = body.next_cursor;
  }
  for (const listed of await listedByPlaid(system)) {
    const { institution_id: id } = listed;
    const row = kept.get(id);
    kept.delete(id);
    if (row === undefined) verdict.lost.push(`institutions: ${id}`);
    // Plaid says more than is kept: what both have has to be the same.
    else if (Object.keys(listed).some((key) => key in row && !isDeepStrictEqual(row[key], listed[key])))
      verdict.stale.push(`institutions: ${id}`);
  }
  for (const id of kept.keys()) verdict.phantom.push(`institutions: ${id}`);
  return verdict;
}

async function listedByPlaid(system: System): Promise<Institution[]> {
  const listed: Institution[] = [];
  for (let total = 1; listed.length < total;) {
    const page = await system.sim<{ institutions: Institution[]; total: number }>('/institutions/get', {
      count: pageSize,
      offset: listed.length,
      country_codes: ['US'],
      options: { include_optional_metadata: true },
    });
    listed.push(...page.institutions);
    total = page.total;
  }
  return listed;
}
