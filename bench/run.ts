import { mkdirSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import type { PairResult } from './pairs.js';
import { sim } from './sim.js';
import { w1 } from './w1.js';
import { w4 } from './w4.js';
import { w5 } from './w5.js';
import { w8 } from './w8.js';
import { w9 } from './w9.js';

/** `npm run bench [-- W1 W4 W5 W8 W9 SIM] [--pairs N] [--items N]`: a table on the terminal, the figures as JSON in `bench/results/`. */
const { values, positionals } = parseArgs({
  options: { pairs: { type: 'string', default: '5' }, items: { type: 'string', default: '10000' } },
  allowPositionals: true,
});
const wanted = positionals.length > 0 ? positionals : ['W1', 'W4', 'W5', 'W8', 'W9', 'SIM'];
/** Of the simulator's Items, this share is read whole. */
const SIM_READ_SHARE = 0.3;
const pairs = Number(values.pairs);
const say = (line: string): void => console.log(`  ${line}`);
const shown = ({ median, min, max }: PairResult): string =>
  `${median.toFixed(2)} (${min.toFixed(2)}–${max.toFixed(2)})`;

const results: object[] = [];
const table: { workload: string; figure: string; goal: string; reached: boolean }[] = [];
for (const name of wanted) {
  console.log(name);
  switch (name) {
    case 'W1': {
      const result = await w1(pairs, say);
      results.push(result);
      table.push({
        workload: 'W1 share of the work without Temporal',
        figure: shown(result),
        goal: '≥ 0.60',
        reached: result.median >= 0.6,
      });
      break;
    }
    case 'W4': {
      const result = await w4(say);
      results.push(result);
      const { lost, doubled, rss_growth_mb: rss, seconds, bound_seconds: bound } = result;
      table.push({
        workload: 'W4 lost + doubled',
        figure: String(lost + doubled),
        goal: '0',
        reached: lost + doubled === 0,
      });
      table.push({
        workload: 'W4 growth of the worker, MB',
        figure: String(rss),
        goal: '≤ 150',
        reached: rss !== null && rss <= 150,
      });
      table.push({
        workload: `W4 seconds over the bound of ${bound}`,
        figure: (seconds / bound).toFixed(2),
        goal: '≤ 1.10',
        reached: seconds / bound <= 1.1,
      });
      break;
    }
    case 'W5': {
      const result = await w5(pairs, say);
      results.push(result);
      table.push({
        workload: 'W5 fresh rows over drizzle',
        figure: shown(result.fresh),
        goal: '≥ 2.2',
        reached: result.fresh.median >= 2.2,
      });
      table.push({
        workload: 'W5 changed rows over drizzle',
        figure: shown(result.changed),
        goal: '–',
        reached: true,
      });
      table.push({
        workload: 'W5 unchanged rows over drizzle',
        figure: shown(result.unchanged),
        goal: '≥ 5',
        reached: result.unchanged.median >= 5,
      });
      break;
    }
    case 'W8': {
      const result = await w8(say);
      results.push(result);
      const { lost, steady_per_second: rate, steady_p99_ms: p99 } = result;
      table.push({ workload: 'W8 lost', figure: String(lost), goal: '0', reached: lost === 0 });
      table.push({
        workload: 'W8 slowest answer in a burst of 1,000 in a second, ms',
        figure: `${result.burst_slowest_ms} (p50 ${result.burst_p50_ms}, p99 ${result.burst_p99_ms})`,
        goal: '< 1,000',
        reached: result.burst_slowest_ms < 1_000,
      });
      table.push({
        workload: 'W8 steady, webhooks a second',
        figure: `${rate} (p99 ${p99} ms)`,
        goal: '–',
        reached: true,
      });
      break;
    }
    case 'W9': {
      const result = await w9(say);
      results.push(result);
      const { lost, calls, seconds, bound_seconds: bound, violations } = result;
      table.push({ workload: 'W9 lost', figure: String(lost), goal: '0', reached: lost === 0 });
      table.push({
        workload: 'W9 calls for 12,000 institutions',
        figure: String(calls),
        goal: '24',
        reached: calls === 24 && violations === 0,
      });
      table.push({
        workload: `W9 seconds over the bound of ${bound}`,
        figure: (seconds / bound).toFixed(2),
        goal: '≤ 1.10',
        reached: seconds / bound <= 1.1,
      });
      break;
    }
    case 'SIM': {
      const result = await sim(say, Number(values.items), SIM_READ_SHARE);
      results.push(result);
      const { items, linked_mb: linked, read_mb: read, read_items: whole, lost } = result;
      const { pages_per_second: wall, pages_per_cpu_second: cpu, page_kb: size } = result;
      table.push({ workload: 'SIM lost', figure: String(lost), goal: '0', reached: lost === 0 });
      table.push({
        workload: `SIM memory with ${items} Items × 1,500, MB`,
        figure: `${linked}, ${read} after ${whole} were read`,
        goal: '< 2,000',
        reached: read !== null && linked !== null && Math.max(read, linked) < 2_000,
      });
      table.push({
        workload: `SIM pages of 500 (${size} kB) a second of one core`,
        figure: `${cpu} (${wall} a second beside its client)`,
        goal: '≥ 500',
        reached: cpu !== null && cpu >= 500,
      });
      break;
    }
    default:
      console.error(`There is no workload ${name}: choose of W1, W4, W5, W8, W9 and SIM.`);
      process.exit(2);
  }
}
const folder = fileURLToPath(new URL('./results/', import.meta.url));
mkdirSync(folder, { recursive: true });
const file = `${folder}${new Date().toISOString().replaceAll(/[:.]/g, '-')}.json`;
writeFileSync(file, `${JSON.stringify({ node: process.version, pairs, results }, null, 2)}\n`);
console.table(table);
console.log(`written to ${file}`);
