import { randomBytes } from 'node:crypto';
import { rewrap } from './clients/secrets.js';
import { Failure } from '../domain/failures.js';
import { inLanes } from './lanes.js';
import { sealedKinds } from '../domain/ids.js';
import type { SealedKind } from '../domain/ids.js';
import type { KeyProvider, Sealed, SealedRow, SealedRowStore } from '../domain/ports/secrets.js';

export interface Rewrapped {
  /** The key that wraps now. */
  keyId: string;
  rewrapped: Record<SealedKind, number>;
  /** Secrets that were left as they are: with a key that is missing or refuses, or with bytes that are not what was written. */
  failed: { row: SealedRow; failure: Failure }[];
}

export interface RewrapOptions {
  /** Also what today's key wraps: gathers secrets under few intermediate keys of AWS KMS. */
  all?: boolean;
  /** Default 500. */
  pageRows?: number;
}

/** So many at once: a provider may be a service. */
const lanes = 8;
/** After so many refusals in a row a key is asked no more: each may take a time-out. */
const givesUpAfter = 20;

async function currentKeyOf(provider: KeyProvider): Promise<string> {
  const probe = randomBytes(32);
  return (await provider.wrap(probe, 'rewrap/probe')).keyId;
}

/**
 * Wraps every data key with today's key; the secrets themselves are not opened. Each row by itself and compared before it is
 * replaced, so it may run beside everything else, be ended at any moment and begun again. A key that refuses costs only its own
 * rows. Rejects when the database fails, or the provider gives no key to wrap with.
 */
export async function rewrapAll(
  provider: KeyProvider,
  rows: SealedRowStore,
  { all = false, pageRows = 500 }: RewrapOptions = {},
): Promise<Rewrapped> {
  const keyId = await currentKeyOf(provider);
  const result: Rewrapped = {
    keyId,
    rewrapped: Object.fromEntries(sealedKinds.map((kind) => [kind, 0])) as Record<SealedKind, number>,
    failed: [],
  };
  /** Refusals in a row, by the key that refused. */
  const refusals = new Map<string, number>();

  async function wrappedAnew(row: SealedRow): Promise<Sealed | null> {
    const { keyId: from } = row.sealed;
    if ((refusals.get(from) ?? 0) >= givesUpAfter) return null;
    try {
      const sealed = await rewrap(provider, row.sealed, row.context);
      refusals.delete(from);
      return sealed;
    } catch (failure) {
      if (!(failure instanceof Failure)) throw failure;
      result.failed.push({ row, failure });
      if (failure.type !== 'SECRET_UNREADABLE') refusals.set(from, (refusals.get(from) ?? 0) + 1);
      return null;
    }
  }

  async function one(row: SealedRow): Promise<void> {
    const sealed = await wrappedAnew(row);
    if (sealed !== null && (await rows.replace(row, sealed))) result.rewrapped[row.kind] += 1;
  }

  for (const kind of sealedKinds) {
    let after: string[] | null = null;
    for (;;) {
      const page: SealedRow[] = await rows.page(kind, all ? null : keyId, pageRows, after);
      await inLanes(lanes, page, one);
      const last = page.at(-1);
      if (last === undefined || page.length < pageRows) break;
      after = last.id;
    }
  }
  return result;
}
