/**
 * Changes of workflow code (domain files included) by which a run begun under a release would go another way than its history
 * says. Such a change asks for its name here, so that an older run goes on as it began: docs/upgrading.md.
 */
export const patchNames = [] as const satisfies readonly string[];

/** For each change whether the run on its way began with it. */
export type Patches = Readonly<Record<(typeof patchNames)[number], boolean>>;
