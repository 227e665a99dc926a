import { readdirSync, readFileSync } from 'node:fs';
import { createActivityWorld } from './activityWorld.js';

/** Of what is run again in another way: where. */
const elsewhere = {
  drainEndpoint: 'endpoints.test.ts',
  wakeEndpoints: 'endpoints.test.ts',
  endConnections: 'duplicates.test.ts',
};

it('every activity is run twice by a test', async () => {
  const folder = new URL('./', import.meta.url);
  const textOf = (name: string): string => readFileSync(new URL(name, folder), 'utf8');
  const texts = readdirSync(folder)
    .filter((name) => name.endsWith('.test.ts'))
    .map(textOf);
  const twice = new Set(
    texts.flatMap((text) => [...text.matchAll(/\btwice\(\s*'(\w+)'/g)].map(([, name]) => name)),
  );
  for (const [name, file] of Object.entries(elsewhere)) expect(textOf(file)).toContain(`.${name}(`);
  const world = await createActivityWorld();
  try {
    expect([...twice, ...Object.keys(elsewhere)].sort()).toEqual(Object.keys(world.run).sort());
  } finally {
    await world.close();
  }
});
