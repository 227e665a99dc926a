import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import type { BlockResult } from './guide.js';
import { judge, readGuide, runGuide } from './guide.js';
import type { System } from './system.js';
import { startSystem } from './system.js';

/** The guide to the API is true: each of its blocks does what it says, against a real system. */
const text = readFileSync(fileURLToPath(new URL('../../docs/api-guide.md', import.meta.url)), 'utf8');
const blocks = readGuide(text);

let system: System;
let directory: string;
let results: BlockResult[];

beforeAll(async () => {
  directory = mkdtempSync(path.join(tmpdir(), 'sluice-guide-'));
  system = await startSystem({
    transactionsPerItem: 60,
    simulatorArgs: ['--initial-after-ms', '1000', '--historical-after-ms', '3000'],
  });
  mkdirSync(path.join(directory, '.sluice'));
  writeFileSync(
    path.join(directory, '.sluice', 'stack.json'),
    JSON.stringify({
      api_url: system.urls.api,
      simulator_url: system.urls.simulator,
      admin_api_key: system.adminKey,
      plaid_client_id: 'guide-client',
      plaid_secret: 'guide-secret',
    }),
  );
  results = await runGuide(blocks, directory, 240_000);
}, 400_000);

afterAll(async () => {
  await system?.stop();
  rmSync(directory, { recursive: true, force: true });
});

it.each(blocks.map((block, n) => ({ n, line: block.line, block })))(
  'the block at line $line answers as it says',
  ({ n, block }) => {
    expect(judge(block, results[n])).toEqual([]);
  },
);

describe('the check itself', () => {
  const guide = (script: string, expectation: string) =>
    readGuide(`# T\n\n\`\`\`sh\n${script}\n\`\`\`\n\n<!-- expect: ${expectation} -->\n`);

  it.each([
    ['another status', 'curl -sS "$API/livez"', '404', ['answered 200']],
    ['a call too many', 'curl -sS "$API/livez"; curl -sS "$API/livez"', '200', ['answered 200 200']],
    ['a word that is not there', 'curl -sS "$API/livez"', '200; nowhere', ['lacks nowhere']],
    ['a command that fails', 'curl -sS "$API/livez"; false; true', '200', ['exit code 1']],
    ['a server that is not there', 'curl -sS http://127.0.0.1:1/', '200', ['exit code 7', 'answered 0']],
  ])('finds %s', async (_, script, expectation, wrong) => {
    const [block] = guide(`API=${system.urls.api}\n${script}`, expectation);
    if (block === undefined) throw new Error('no block');
    const place = mkdtempSync(path.join(directory, 'check-'));
    const [result] = await runGuide([block], place, 60_000);
    expect(judge(block, result).slice(0, -1)).toEqual(wrong);
  });

  it('refuses a block without an expectation, one of another language, and what is no status', () => {
    expect(() => readGuide('```sh\ntrue\n```\n\ntext\n')).toThrow('without an expectation');
    expect(() => readGuide('```bash\ntrue\n```\n')).toThrow('1 fenced blocks, 0 of them sh');
    expect(() => guide('true', 'ok')).toThrow('ok is no HTTP status');
    expect(judge({ line: 1, script: '', statuses: [], words: [] }, undefined)).toEqual(['was not reached']);
  });
});
