const pauseMs = 500;
const tries = 10;

/**
 * Notes when something was last used. Nobody waits for it and nothing fails with it: `write` passes rows by that are locked and
 * answers which it has noted. The others are tried for some seconds more, as two notes of one row come at once. One whose note is on
 * its way is not noted twice.
 */
export function noteTimes(write: (ids: string[]) => Promise<string[]>) {
  const underWay = new Set<string>();
  const noteAll = async (ids: string[]): Promise<void> => {
    let left = ids;
    for (let n = 0; n < tries && left.length > 0; n += 1) {
      if (n > 0) await new Promise<void>((resolve) => setTimeout(resolve, pauseMs).unref());
      const noted = new Set(await write(left));
      left = left.filter((id) => !noted.has(id));
    }
  };
  return {
    note(ids: readonly string[]): void {
      const fresh = ids.filter((id) => !underWay.has(id));
      if (fresh.length === 0) return;
      for (const id of fresh) underWay.add(id);
      noteAll(fresh)
        .catch(() => undefined)
        .finally(() => {
          for (const id of fresh) underWay.delete(id);
        });
    },
  };
}
