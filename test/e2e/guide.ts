import { spawn } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';

/** A fenced `sh` block of a guide, and what the comment under it expects. */
export interface GuideBlock {
  /** Line of the guide where the block begins. */
  line: number;
  script: string;
  /** HTTP statuses of its calls, in order; `repeats` = one or more. */
  statuses: { status: number; repeats: boolean }[];
  /** What its output holds. */
  words: string[];
}

export interface BlockResult {
  /** Null: the shell did not come to its end. */
  exitCode: number | null;
  statuses: number[];
  /** What it wrote to both outputs. */
  output: string;
}

const fence = /^```sh\n([\s\S]*?)^```\n(?:\n*<!-- expect: ([^;>]*?)(?:; (.*?))? -->)?/gm;

/** The blocks of a guide. Throws when one has no expectation, or an expectation no block. */
export function readGuide(text: string): GuideBlock[] {
  const blocks = [...text.matchAll(fence)].map((match): GuideBlock => {
    const line = text.slice(0, match.index).split('\n').length;
    const [, script = '', statuses, words] = match;
    if (statuses === undefined) throw new Error(`line ${line}: a block without an expectation`);
    return {
      line,
      script,
      statuses: statuses.split(' ').map((status) => {
        if (!/^\d{3}\+?$/.test(status)) throw new Error(`line ${line}: ${status} is no HTTP status`);
        return { status: parseInt(status, 10), repeats: status.endsWith('+') };
      }),
      words: words?.split(' ') ?? [],
    };
  });
  const expectations = text.match(/<!-- expect/g)?.length ?? 0;
  const fences = text.match(/^```\w+$/gm)?.length ?? 0;
  if (expectations !== blocks.length || fences !== blocks.length) {
    throw new Error(`${fences} fenced blocks, ${blocks.length} of them sh, ${expectations} expectations`);
  }
  return blocks;
}

/** What is wrong with a result; empty = as expected. */
export function judge(block: GuideBlock, result: BlockResult | undefined): string[] {
  if (result === undefined) return ['was not reached'];
  const wrong: string[] = [];
  if (result.exitCode !== 0) wrong.push(`exit code ${result.exitCode}`);
  const wanted = block.statuses.map(({ status, repeats }) => `(?: ${status})${repeats ? '+' : ''}`).join('');
  const got = result.statuses.map((status) => ` ${status}`).join('');
  if (!new RegExp(`^${wanted}$`).test(got)) wrong.push(`answered${got}`);
  for (const word of block.words) if (!result.output.includes(word)) wrong.push(`lacks ${word}`);
  return wrong.length === 0 ? [] : [...wrong, result.output];
}

/** Every call tells its status on standard error, and none waits for ever. */
const prelude = `
set -euo pipefail
curl() { command curl --max-time 60 --write-out '%{stderr}\\n<status %{http_code}>\\n' "$@"; }
`;

/**
 * Runs the blocks in one bash, in `directory`, as a reader would who copies one after the other. The first that fails ends
 * it; results are in the order of the blocks.
 */
export async function runGuide(
  blocks: readonly GuideBlock[],
  directory: string,
  timeoutMs: number,
): Promise<BlockResult[]> {
  const file = (n: number, kind: string): string => path.join(directory, `block${n}.${kind}`);
  const script = blocks.map(
    (block, n) =>
      `exec >'${file(n, 'out')}' 2>'${file(n, 'err')}'\n${block.script}\n: >'${file(n, 'done')}'\n`,
  );
  const entry = path.join(directory, 'guide.sh');
  writeFileSync(entry, prelude + script.join(''));
  const shell = spawn('bash', [entry], { cwd: directory, stdio: 'ignore', timeout: timeoutMs });
  const exitCode = await new Promise<number | null>((resolve, reject) => {
    shell.on('error', reject);
    shell.on('exit', resolve);
  });
  const results: BlockResult[] = [];
  for (let n = 0; n < blocks.length; n += 1) {
    const [out, told] = [read(file(n, 'out')), read(file(n, 'err'))];
    if (out === null || told === null) break;
    results.push({
      exitCode: read(file(n, 'done')) === null ? exitCode : 0,
      statuses: [...told.matchAll(/<status (\d+)>/g)].map(([, status]) => Number(status)),
      output: out + told,
    });
  }
  return results;
}

function read(file: string): string | null {
  try {
    return readFileSync(file, 'utf8');
  } catch {
    return null;
  }
}
