import { Agent, request } from 'node:http';
import { inLanes } from '../../src/lanes.js';
import { spawnSimulator } from '../local/simulator.js';
import { machineEnvironment } from './environment.js';
import { cpuSeconds, residentMb } from './system.js';
import { below, exactly, from } from './workload.js';
import type { Workload } from './workload.js';

const transactions = 1_500;
const count = 500;
/** Whole Items among those read whose rows are counted one by one. */
const checked = 20;
const lanes = 4;
/** Of the Items, this share is read whole. */
const readShare = 0.3;

interface SimResult {
  workload: 'SIM';
  items: number;
  linked_seconds: number;
  /** Resident memory of the simulator: with all Items linked and both pulls ended, then after the reading. */
  linked_mb: number | null;
  read_mb: number | null;
  read_items: number;
  pages: number;
  page_kb: number;
  pages_per_second: number;
  /** Pages to a second of the simulator's processor time: what it would be if the client cost nothing. */
  pages_per_cpu_second: number | null;
  /** Transactions that were not in the pages they had to be in, among the Items that were checked. */
  lost: number;
}

interface Page {
  added: { transaction_id: string }[];
}

/** The simulator alone: memory with many Items, and pages of 500 transactions a second. */
export const sim: Workload = async ({ items, say }) => {
  const result = await measure(say, items);
  const { linked_mb: linked, read_mb: read, read_items: whole } = result;
  const { pages_per_second: wall, pages_per_cpu_second: cpu, page_kb: size } = result;
  const most = linked === null || read === null ? null : Math.max(linked, read);
  return {
    result,
    figures: [
      exactly('SIM lost', result.lost, 0),
      below(
        `SIM memory with ${items} Items × ${transactions}, MB`,
        most,
        2_000,
        ` (${linked}, ${read} after ${whole} were read)`,
      ),
      from(
        `SIM pages of ${count} (${size} kB) a second of one core`,
        cpu,
        500,
        ` (${wall} a second beside its client)`,
      ),
    ],
  };
};

async function measure(report: (line: string) => void, items: number): Promise<SimResult> {
  const { child, url } = await spawnSimulator(
    ['--clock-scale', '0', '--transactions-per-item', String(transactions)],
    machineEnvironment,
  );
  const pid = child.pid ?? 0;
  const agent = new Agent({ keepAlive: true, maxSockets: lanes });
  try {
    const post = (path: string, body: object): Promise<Buffer> =>
      new Promise((resolve, reject) => {
        const headers = {
          'content-type': 'application/json',
          'plaid-client-id': 'bench',
          'plaid-secret': 'bench',
        };
        const sent = request(`${url}${path}`, { method: 'POST', agent, headers }, (response) => {
          const chunks: Buffer[] = [];
          response.on('data', (chunk: Buffer) => chunks.push(chunk));
          response.once('error', reject);
          response.once('end', () =>
            response.statusCode === 200
              ? resolve(Buffer.concat(chunks))
              : reject(new Error(`${path} was answered with ${response.statusCode}`)),
          );
        });
        sent.once('error', reject);
        sent.end(JSON.stringify(body));
      });

    report(`${items} Items × ${transactions} …`);
    const tokens: string[] = [];
    let started = performance.now();
    await inLanes(lanes, [...Array(items).keys()], async (n) => {
      const created = await post('/sandbox/public_token/create', {
        institution_id: 'ins_109508',
        initial_products: ['transactions'],
        options: { override_username: `user_${n + 1}`, transactions: { days_requested: 730 } },
      });
      const { public_token } = JSON.parse(created.toString()) as { public_token: string };
      const exchanged = await post('/item/public_token/exchange', { public_token });
      tokens.push((JSON.parse(exchanged.toString()) as { access_token: string }).access_token);
    });
    await post('/_sim/clock', { advance: 'PT2M' });
    const linkedSeconds = (performance.now() - started) / 1000;
    const linkedMb = residentMb(pid);

    const toRead = Math.max(1, Math.round(items * readShare));
    report(`${toRead} of them read whole …`);
    const cpuBefore = cpuSeconds(pid);
    let pages = 0;
    let bytes = 0;
    let lost = 0;
    started = performance.now();
    await inLanes(lanes, [...Array(toRead).keys()], async (index) => {
      const ids = new Set<string>();
      for (let cursor = '', more = true; more;) {
        const page = await post('/transactions/sync', { access_token: tokens[index], cursor, count });
        pages += 1;
        bytes += page.length;
        // The end of a page says how it goes on; parsing all of it would measure the client.
        const end = page.toString('latin1', page.length - 1_000);
        cursor = /"next_cursor":"([^"]+)"/.exec(end)?.[1] ?? '';
        more = page.includes('"has_more":true', page.length - 1_000);
        if (index < checked) {
          for (const row of (JSON.parse(page.toString()) as Page).added) ids.add(row.transaction_id);
        }
      }
      if (index < checked) lost += transactions - ids.size;
    });
    const seconds = (performance.now() - started) / 1000;
    const cpuAfter = cpuSeconds(pid);
    const cpu = cpuBefore === null || cpuAfter === null ? null : cpuAfter - cpuBefore;
    const rounded = (value: number | null) => (value === null ? null : Math.round(value));
    return {
      workload: 'SIM',
      items,
      linked_seconds: Math.round(linkedSeconds * 10) / 10,
      linked_mb: rounded(linkedMb),
      read_mb: rounded(residentMb(pid)),
      read_items: toRead,
      pages,
      page_kb: Math.round(bytes / pages / 1024),
      pages_per_second: Math.round(pages / seconds),
      pages_per_cpu_second: rounded(cpu && pages / cpu),
      lost: lost + (toRead * Math.ceil(transactions / count) - pages),
    };
  } finally {
    agent.destroy();
    child.kill('SIGTERM');
  }
}
