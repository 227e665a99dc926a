/** A kind of due work that an Item's workflow does beside its updates: one activity a kind, and where its row says so. */
interface Task {
  /**
   * What of the row says that it is due: a column of `items` that holds since when, or the pending webhooks of this kind. The
   * sweep and the snapshot of the row are made of this.
   */
  due: { column: string } | { webhooks: string };
  whileRemoved: boolean;
  whileBroken: boolean;
  /** What may be under way: an `update` of the Item's own, `paging` by a child workflow, or `nothing` that is not held up. */
  beside: 'update' | 'paging' | 'nothing';
  /** For operators: who refuses it. */
  called: string;
}

/**
 * The kinds, in the order in which they are done. A new one is an entry here, its column, its activity, and the line in
 * `workflows/tasks.ts` that calls it: docs/architecture.md.
 */
export const tasks = {
  // Before new work, since a failed try gives way for its pause.
  publish: {
    due: { column: 'unsent_since' },
    whileRemoved: true,
    whileBroken: true,
    beside: 'update',
    called: 'streams',
  },
  segment: {
    due: { column: 'segment_due_at' },
    whileRemoved: true,
    whileBroken: true,
    beside: 'update',
    called: 'Segment',
  },
  // They may say that there must be no update.
  itemWebhooks: {
    due: { webhooks: 'item' },
    whileRemoved: false,
    whileBroken: true,
    beside: 'update',
    called: 'webhooks about the Item',
  },
  numbers: {
    due: { column: 'numbers_due_at' },
    whileRemoved: false,
    whileBroken: false,
    beside: 'paging',
    called: 'account numbers',
  },
  removals: {
    due: { webhooks: 'removals' },
    whileRemoved: false,
    whileBroken: false,
    beside: 'nothing',
    called: 'named removals',
  },
} as const satisfies Record<string, Task>;

export type TaskName = keyof typeof tasks;

export const taskNames = Object.keys(tasks) as TaskName[];

export function isTask(name: string): name is TaskName {
  return Object.hasOwn(tasks, name);
}

/** What is due and when (ms since the epoch), and how often in a row it has failed; a kind that is absent is not due. */
export type DueTasks = { readonly [Name in TaskName]?: { readonly at: number; readonly failures: number } };

/** It is due at `at`, whatever pause its failures have earned. */
export function setDue(due: DueTasks, name: TaskName, at: number): DueTasks {
  return { ...due, [name]: { at, failures: due[name]?.failures ?? 0 } };
}

/** These are due at `at` or before, but those that keep the pause which their failures have earned. */
export function alsoDue(due: DueTasks, names: readonly TaskName[], at: number): DueTasks {
  return names.reduce((all, name) => {
    const { at: dueAt = at, failures = 0 } = all[name] ?? {};
    return failures > 0 ? all : setDue(all, name, Math.min(dueAt, at));
  }, due);
}

/** It was done; `more` of it waits, and is due at `nextAt`. */
export function taskDone(due: DueTasks, name: TaskName, more: boolean, nextAt: number): DueTasks {
  const others: DueTasks = Object.fromEntries(Object.entries(due).filter(([other]) => other !== name));
  return more ? { ...others, [name]: { at: nextAt, failures: 0 } } : others;
}

/** It failed once more, and waits as long as `pauseOf` says. */
export function taskFailed(
  due: DueTasks,
  name: TaskName,
  pauseOf: (failures: number) => number,
  now: number,
): DueTasks {
  const failures = (due[name]?.failures ?? 0) + 1;
  return { ...due, [name]: { at: now + pauseOf(failures), failures } };
}

/** Those that wait for what their failures have earned are due at what `sooner` makes of it. */
export function pausesEnded(due: DueTasks, sooner: (name: TaskName, at: number) => number): DueTasks {
  return taskNames.reduce((all, name) => {
    const task = all[name];
    return task === undefined || task.failures === 0
      ? all
      : { ...all, [name]: { ...task, at: sooner(name, task.at) } };
  }, due);
}

/** What of it a removed Item still does. */
export function dueOnceRemoved(due: DueTasks): DueTasks {
  return Object.fromEntries(Object.entries(due).filter(([name]) => isTask(name) && tasks[name].whileRemoved));
}
