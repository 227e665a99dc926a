import { PlaidApiError } from '../errors.js';
import type { World } from '../world.js';
import type { Cursor } from './cursor.js';
import type { CursorRefusal, Item } from './item.js';

/** Plaid withdraws the cursors that the Item has given out until now, or one of them. Those of a run from the empty cursor hold. */
export function withdrawCursors(
  world: World,
  item: Item,
  answer: CursorRefusal,
  cursor: string | undefined,
): void {
  const { facts, log } = item;
  const { length } = log;
  facts.withdrawnCursors = [
    ...(facts.withdrawnCursors ?? []),
    { answer, length, ...(cursor === undefined ? {} : { cursor }) },
  ];
  if (length > 0) {
    // Else the next run would end with the very cursor that was withdrawn. No client hears of it: nothing that it reads has changed.
    log.touch();
    if (facts.announced === length) facts.announced = log.length;
  }
  world.keeper.item(item);
}

/** Throws what a withdrawn cursor is answered with; the latest withdrawal counts. */
export function refuseWithdrawn({ facts }: Item, text: string, { from, end }: Cursor): void {
  const withdrawn = facts.withdrawnCursors?.findLast(({ cursor, length }) =>
    cursor === undefined ? (end ?? from) <= length : cursor === text,
  );
  if (!withdrawn) return;
  const message =
    withdrawn.answer === 'INVALID_FIELD' ? 'cursor not associated with access_token' : undefined;
  throw new PlaidApiError(withdrawn.answer, message);
}
