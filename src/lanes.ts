/** Does all of `given`, `lanes` at a time, in their order. Rejects with the first failure; what is under way then goes on. */
export async function inLanes<Given>(
  lanes: number,
  given: readonly Given[],
  work: (one: Given) => Promise<unknown>,
): Promise<void> {
  const left = given.values();
  await Promise.all(
    Array.from({ length: lanes }, async () => {
      for (const one of left) await work(one);
    }),
  );
}
