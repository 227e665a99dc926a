import { mkdirSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { sim } from './sim.js';
import { w1 } from './w1.js';
import { w3 } from './w3.js';
import { w4 } from './w4.js';
import { w5 } from './w5.js';
import { w6 } from './w6.js';
import { w8 } from './w8.js';
import { w9 } from './w9.js';
import { w10 } from './w10.js';
import type { Figure, Workload } from './workload.js';

const workloads: Record<string, Workload> = {
  W1: w1,
  W3: w3,
  W4: w4,
  W5: w5,
  W6: w6,
  W8: w8,
  W9: w9,
  W10: w10,
  SIM: sim,
};

/** `npm run bench [-- W1 W4 …] [--pairs N] [--items N]`: a table on the terminal, the figures as JSON in `tools/bench/results/`. */
const { values, positionals } = parseArgs({
  options: { pairs: { type: 'string', default: '5' }, items: { type: 'string', default: '10000' } },
  allowPositionals: true,
});
const wanted = positionals.length > 0 ? positionals : Object.keys(workloads);
const pairs = Number(values.pairs);
const items = Number(values.items);
const unknown = wanted.filter((name) => !(name in workloads));
const isCount = (n: number) => Number.isSafeInteger(n) && n >= 1;
if (unknown.length > 0 || !isCount(pairs) || !isCount(items)) {
  console.error(
    unknown.length > 0
      ? `There is no workload ${unknown.join(', ')}: choose of ${Object.keys(workloads).join(', ')}.`
      : '--pairs and --items take a whole number from 1.',
  );
  process.exit(2);
}

const results: object[] = [];
const figures: Figure[] = [];
for (const name of wanted) {
  console.log(name);
  const measured = await workloads[name]?.({ pairs, items, say: (line) => console.log(`  ${line}`) });
  if (measured === undefined) continue;
  results.push(measured.result);
  figures.push(...measured.figures);
}
const folder = fileURLToPath(new URL('./results/', import.meta.url));
mkdirSync(folder, { recursive: true });
const file = `${folder}${new Date().toISOString().replaceAll(/[:.]/g, '-')}.json`;
writeFileSync(file, `${JSON.stringify({ node: process.version, pairs, results }, null, 2)}\n`);
console.table(figures);
console.log(`written to ${file}`);
