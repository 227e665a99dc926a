import type { StreamName } from '../mining/events.js';
import { streamNames } from '../mining/events.js';
import type { ErasedUser } from '../ports/erasures.js';

const userErasedType = 'sluice.user.erased.v1';

export interface ErasedRecord {
  stream: StreamName;
  partitionKey: string;
  /** A batch of one event, as JSON. */
  json: string;
}

/**
 * What the streams are told when the data of a user are gone: a record for each stream and Item, under the Item's own partition key, so
 * that it comes after everything else of the Item; of a user without Items one for each stream. It names user and Item, since consumers
 * hold copies under those names.
 */
export function userErasedRecords(
  { erasureId, repeated, userId, userHash, itemIds, requestedAt }: ErasedUser,
  now: string,
): ErasedRecord[] {
  const subjects: (string | null)[] = itemIds.length === 0 ? [null] : itemIds;
  return streamNames.flatMap((stream) =>
    subjects.map((itemId) => {
      const event = {
        specversion: '1.0',
        // Of its own on each stream: who reads all four acts at the end of each.
        id: [
          erasureId,
          ...(repeated ? [requestedAt] : []),
          stream,
          ...(itemId === null ? [] : [itemId]),
        ].join('/'),
        source: `/sluice/erasures/${erasureId}`,
        type: userErasedType,
        subject: userId,
        time: now,
        datacontenttype: 'application/json',
        dataschema: `urn:sluice:schema:${userErasedType}`,
        ...(itemId === null ? {} : { itemid: itemId }),
        userid: userId,
        data: {
          erasure_id: erasureId,
          user_id: userId,
          user_hash: userHash,
          item_id: itemId,
          requested_at: requestedAt,
        },
      };
      return { stream, partitionKey: itemId ?? userHash, json: JSON.stringify([event]) };
    }),
  );
}
