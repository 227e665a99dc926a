import { readFile } from 'node:fs/promises';
import { z } from 'zod';
import type { World } from '../world.js';
import { fillWorld } from './fillWorld.js';
import { STATE_VERSION, type StateRecord } from './records.js';
import { restoreRecords, UnreadableState } from './restoreRecords.js';
import { itemRecords, nothingWritten, worldRecords } from './writeRecords.js';

const FORMAT = 'plaid-simulator world';

const document = z.strictObject({
  format: z.literal(FORMAT),
  version: z.literal(STATE_VERSION),
  records: z.array(z.looseObject({ kind: z.string() })).min(1),
});

/**
 * A whole world as one JSON document: the records of a state file, at one moment. It holds all that makes the world go on
 * elsewhere, access tokens and private signing keys included.
 */
export function exportWorld(world: World): Buffer {
  const parts = [`{"format":${JSON.stringify(FORMAT)},"version":${STATE_VERSION},"records":[`];
  parts.push(
    worldRecords(world)
      .map((record) => JSON.stringify(record))
      .join(',\n'),
  );
  for (const item of world.items.values()) {
    for (const record of itemRecords(item, nothingWritten())) parts.push(',\n', record);
  }
  parts.push(']}\n');
  return Buffer.concat(parts.map((part) => Buffer.from(part)));
}

/** Makes this simulator's world the exported one; time goes on from where it was. A document that cannot be read changes nothing. */
export function importWorld(world: World, given: unknown): void {
  const parsed = document.safeParse(given);
  if (!parsed.success) {
    const issue = parsed.error.issues[0];
    throw new UnreadableState(
      `no world of this simulator: ${issue?.path.map(String).join('.') || 'document'}: ${issue?.message ?? 'invalid'}`,
    );
  }
  const saved = orDamaged(() => read(parsed.data.records as unknown as StateRecord[]));
  orDamaged(() => world.replace(saved.world));
  fillWorld(world, saved);
  for (const item of saved.items) world.keeper.item(item);
  for (const token of saved.publicTokens) world.keeper.publicToken(token);
  for (const token of saved.linkTokens) world.keeper.linkToken(token);
  for (const session of saved.linkSessions) world.keeper.linkSession(session);
  for (const report of saved.reports) world.keeper.report(report);
}

function read(records: StateRecord[]) {
  const saved = restoreRecords('the document', records);
  if (!saved.world) throw new UnreadableState('the document has no record of the world itself');
  return { ...saved, world: saved.world };
}

/** What records lack shows when something is made of them. */
function orDamaged<T>(make: () => T): T {
  try {
    return make();
  } catch (error) {
    if (error instanceof UnreadableState) throw error;
    throw new UnreadableState(
      `the document is damaged: ${error instanceof Error ? error.message : String(error)}`,
    );
  }
}

/** `--import`. */
export async function importWorldFile(world: World, path: string): Promise<void> {
  let given: unknown;
  try {
    given = JSON.parse(await readFile(path, 'utf8'));
  } catch (error) {
    throw new UnreadableState(`${path}: ${error instanceof Error ? error.message : String(error)}`);
  }
  importWorld(world, given);
}
