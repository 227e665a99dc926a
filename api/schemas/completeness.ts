import { z } from 'zod';
import { exampleItem, history, phase } from './itemShape.js';
import { time } from './shared.js';

const completeness = z.object({ item_id: z.string(), phase, history, as_of: time.nullable() }).meta({
  id: 'Completeness',
  description: 'How complete the cached answer is, so that "not fetched yet" is never taken for "empty"',
});

export const aboutItems = z.object({ items: z.array(completeness) });

export const aboutExampleItem = {
  items: [
    {
      item_id: exampleItem.item_id,
      phase: exampleItem.phase,
      history: exampleItem.history,
      as_of: exampleItem.last_update_at,
    },
  ],
};
