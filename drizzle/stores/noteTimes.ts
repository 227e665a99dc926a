/**
 * Notes when something was last used. Nobody waits for it and nothing fails with it: `write` passes rows by that are locked, which
 * a later use notes, and one whose note is on its way is not noted twice.
 */
export function noteTimes(write: (ids: string[]) => Promise<void>) {
  const underWay = new Set<string>();
  return {
    note(ids: readonly string[]): void {
      const fresh = ids.filter((id) => !underWay.has(id));
      if (fresh.length === 0) return;
      for (const id of fresh) underWay.add(id);
      write(fresh)
        .catch(() => undefined)
        .finally(() => {
          for (const id of fresh) underWay.delete(id);
        });
    },
  };
}
