import type { Mutant } from './simulation.js';
import { step } from './simulation.js';

/** Each breaks one promise of the core; the simulation has to find every one of them. */
export const mutants: Readonly<Record<string, Mutant>> = {
  'the cursor is stored before its rows': {
    ports: ({ mining }, { model }) => ({
      mining: {
        ...mining,
        async apply(update) {
          const before = model.cursor;
          model.cursor = update.page.nextCursor;
          // A process may end here.
          await step();
          model.cursor = before;
          return mining.apply(update);
        },
      },
    }),
  },
  'rows that Plaid removes are kept': {
    ports: ({ plaid }) => ({
      plaid: {
        ...plaid,
        syncTransactions: async (...asked) => ({ ...(await plaid.syncTransactions(...asked)), removed: [] }),
      },
    }),
  },
  'a remine removes what one reading does not list': {
    ports: ({ mining }, { model }) => ({
      mining: {
        ...mining,
        async apply(update) {
          const { remine } = update.began;
          if (update.remine === true && remine !== null)
            for (const id of model.transactions.keys()) model.missedBy.set(id, remine);
          return mining.apply(update);
        },
      },
    }),
  },
  'a remine takes the cursor of its reading': {
    ports: ({ mining }) => ({
      mining: { ...mining, apply: (update) => mining.apply({ ...update, keepsCursor: false }) },
    }),
  },
  'what one reading brings beside the cursor is believed': {
    ports: ({ mining }, item) => ({
      mining: {
        ...mining,
        async apply(update) {
          const applied = await mining.apply(update);
          if (applied.kind !== 'applied' || item.model.missedBy.size > 0) return applied;
          if (update.remine === true) item.remineRequested = false;
          return { ...applied, outcome: { ...applied.outcome, missed: 0 } };
        },
      },
    }),
  },
  'a signal is dropped while an update runs': {
    hears: ({ kind }, { run }) => kind !== 'webhook' || run === null,
  },
  'an account is closed by one answer': {
    ports: ({ mining }) => ({
      mining: {
        ...mining,
        async beginPage(...asked) {
          const start = await mining.beginPage(...asked);
          return start.kind === 'fetch' ? { ...start, openAccounts: [] } : start;
        },
      },
    }),
  },
  'a record that a stream refuses is called told': { forgetsRefusedRecords: true },
};
