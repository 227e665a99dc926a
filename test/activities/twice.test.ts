import { readdirSync, readFileSync } from 'node:fs';
import { createActivityWorld } from './activityWorld.js';

/** Of what is run again in another way: where. */
const elsewhere = {
  drainEndpoint: 'endpoints.test.ts',
  wakeEndpoints: 'endpoints.test.ts',
  endConnections: '../drizzle/connectionEnds.test.ts',
};

it('every activity is run twice by a test', async () => {
  const folder = new URL('./', import.meta.url);
  const texts = readdirSync(folder)
    .filter((name) => name.endsWith('.test.ts'))
    .map((name) => readFileSync(new URL(name, folder), 'utf8'));
  const twice = new Set(
    texts.flatMap((text) => [...text.matchAll(/\btwice\(\s*'(\w+)'/g)].map(([, name]) => name)),
  );
  const world = await createActivityWorld();
  try {
    expect([...twice, ...Object.keys(elsewhere)].sort()).toEqual(Object.keys(world.run).sort());
  } finally {
    await world.close();
  }
});
