import { randomBytes } from 'node:crypto';
import { rewrap } from './clients/secrets.js';
import { Failure } from './domain/failures.js';
import { sealedKinds } from './domain/ids.js';
import type { SealedKind } from './domain/ids.js';
import type { KeyProvider, SealedRow, SealedRowStore } from './domain/ports.js';

export interface Rewrapped {
  /** The key that wraps now. */
  keyId: string;
  rewrapped: Record<SealedKind, number>;
  /** Secrets that do not open: with a key that is missing, or with bytes that are not what was written. */
  unreadable: { kind: SealedKind; id: string[]; keyId: string }[];
}

const pageRows = 500;
/** So many at once: a provider may be a service. */
const lanes = 8;

async function currentKeyOf(provider: KeyProvider): Promise<string> {
  const probe = randomBytes(32);
  return (await provider.wrap(probe, 'rewrap/probe')).keyId;
}

/**
 * Wraps every data key with today's key; the secrets themselves are not opened. Each row by itself and compared before it is
 * replaced, so it may run beside everything else, be ended at any moment and begun again. Rejects when the database or the
 * provider fails.
 */
export async function rewrapAll(provider: KeyProvider, rows: SealedRowStore): Promise<Rewrapped> {
  const keyId = await currentKeyOf(provider);
  const result: Rewrapped = {
    keyId,
    rewrapped: { 'access tokens': 0, 'public tokens': 0, 'account numbers': 0, answers: 0 },
    unreadable: [],
  };

  async function one(row: SealedRow): Promise<void> {
    try {
      const sealed = await rewrap(provider, row.sealed, row.context);
      if (await rows.replace(row, sealed)) result.rewrapped[row.kind] += 1;
    } catch (error) {
      if (!(error instanceof Failure) || error.type !== 'SECRET_UNREADABLE') throw error;
      result.unreadable.push({ kind: row.kind, id: row.id, keyId: row.sealed.keyId });
    }
  }

  for (const kind of sealedKinds) {
    let after: string[] | null = null;
    for (;;) {
      const page: SealedRow[] = await rows.page(kind, keyId, pageRows, after);
      const left = page.values();
      await Promise.all(
        Array.from({ length: lanes }, async () => {
          for (const row of left) await one(row);
        }),
      );
      const last = page.at(-1);
      if (last === undefined || page.length < pageRows) break;
      after = last.id;
    }
  }
  return result;
}
