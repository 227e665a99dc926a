import { execFile } from 'node:child_process';
import { copyFileSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';

const root = fileURLToPath(new URL('..', import.meta.url));
const require = createRequire(import.meta.url);
const rules = (
  require(path.join(root, '.dependency-cruiser.cjs')) as { forbidden: { name: string }[] }
).forbidden.map(({ name }) => name);

type Tree = Record<string, string>;

/** A tree that keeps every law, with one file for each room and the packages that it may import. */
const lawful: Tree = {
  'domain/core.ts': "import Big from 'big.js';\nexport const one: unknown = new Big(1);\n",
  'src/clients/client.ts': "import { one } from '../../domain/core.js';\nexport const client = one;\n",
  'src/clients/postgres.ts': "import postgres from 'postgres';\nexport const open: unknown = postgres;\n",
  'src/temporal/gateway.ts':
    "import { name } from '../../workflows/contract.js';\nimport { one } from '../../domain/core.js';\nexport const gateway = [name, one];\n",
  'src/temporal/workers.ts': "import { one } from '../../domain/core.js';\nexport const workers = one;\n",
  'src/config.ts': "import { z } from 'zod';\nexport const config: unknown = z;\n",
  'src/worker.ts':
    "import { run } from '../activities/run.js';\nimport { config } from './config.js';\nimport { store } from '../drizzle/store.js';\nimport { workers } from './temporal/workers.js';\nexport const worker = [run, config, store, workers];\n",
  'workflows/contract.ts':
    "import { defineSignal } from '@temporalio/workflow';\nexport const name: unknown = defineSignal;\n",
  'workflows/item.ts':
    "import type { Run } from '../activities/run.js';\nimport { one } from '../domain/core.js';\nexport const item = (run: Run): unknown => [run, one];\n",
  'activities/run.ts':
    "import { heartbeat } from '@temporalio/activity';\nimport { one } from '../domain/core.js';\nexport type Run = string;\nexport const run: unknown = [heartbeat, one];\n",
  'drizzle/store.ts':
    "import { sql } from 'drizzle-orm';\nimport { one } from '../domain/core.js';\nexport const store: unknown = [sql, one];\n",
  'api/app.ts':
    "import Fastify from 'fastify';\nimport { one } from '../domain/core.js';\nexport const app: unknown = [Fastify, one];\n",
  'packages/plaid-simulator/src/server.ts':
    "import Fastify from 'fastify';\nimport { createServer } from 'node:http';\nexport const server: unknown = [Fastify, createServer];\n",
  'tools/local/stack.ts': "import { launch } from './launch.js';\nexport const stack = launch;\n",
  'tools/local/launch.ts':
    "import { spawn } from 'node:child_process';\nexport const launch: unknown = spawn;\n",
  'tools/bench/pages.ts': "import { store } from '../../drizzle/store.js';\nexport const pages = store;\n",
  'test/app.test.ts': "import { app } from '../api/app.js';\nexport const tested = app;\n",
};
const packages = [
  'big.js',
  'postgres',
  'zod',
  '@temporalio/workflow',
  '@temporalio/worker',
  '@temporalio/activity',
  'drizzle-orm',
  'fastify',
  'axios',
];

/** For each rule one file that breaks it, and nothing else of the tree. */
const breaches: Record<string, [file: string, text: string]> = {
  'law-1-domain-is-pure': ['domain/clock.ts', "import { performance } from 'node:perf_hooks';"],
  'law-2-workflows': ['workflows/rows.ts', "import { store } from '../drizzle/store.js';"],
  'law-2-workflows-take-only-types-of-activities': [
    'workflows/direct.ts',
    "import { run } from '../activities/run.js';",
  ],
  'law-3-activities': ['activities/http.ts', "import axios from 'axios';"],
  'law-4-drizzle': ['drizzle/secrets.ts', "import { client } from '../src/clients/client.js';"],
  'law-4-only-drizzle-writes-sql': ['src/clients/report.ts', "import postgres from 'postgres';"],
  'law-5-api': ['api/direct.ts', "import { store } from '../drizzle/store.js';"],
  'law-6-adapters': ['src/clients/rows.ts', "import { store } from '../../drizzle/store.js';"],
  'law-6-gateway': ['src/temporal/gateway.ts', "import { item } from '../../workflows/item.js';"],
  'law-6-only-entry-points-join-rooms': ['src/logger.ts', "import { app } from '../api/app.js';"],
  'only-workers-load-the-worker-sdk': [
    'src/temporal/connect.ts',
    "import { Worker } from '@temporalio/worker';",
  ],
  'law-11-simulator-stands-alone': [
    'packages/plaid-simulator/src/shortcut.ts',
    "import { one } from '../../../domain/core.js';",
  ],
  'law-11-nothing-imports-the-simulator': [
    'tools/local/simulator.ts',
    "import { server } from '../../packages/plaid-simulator/src/server.js';",
  ],
  'no-circular': ['tools/local/launch.ts', "import { stack } from './stack.js';"],
  'no-unresolvable': ['tools/local/missing.ts', "import { nothing } from './nowhere.js';"],
  'nothing-imports-tests': ['tools/local/borrowed.ts', "import { tested } from '../../test/app.test.js';"],
};

const trees: string[] = [];
afterAll(() => {
  for (const tree of trees) rmSync(tree, { recursive: true, force: true });
});

function write(tree: Tree): string {
  const directory = mkdtempSync(path.join(tmpdir(), 'sluice-laws-'));
  trees.push(directory);
  const files: Tree = {
    ...tree,
    'package.json': JSON.stringify({
      name: 'laws',
      type: 'module',
      dependencies: Object.fromEntries(packages.map((name) => [name, '1.0.0'])),
    }),
    ...Object.fromEntries(
      packages.flatMap((name) => [
        [
          `node_modules/${name}/package.json`,
          JSON.stringify({ name, version: '1.0.0', type: 'module', main: 'index.js', types: 'index.d.ts' }),
        ],
        [`node_modules/${name}/index.js`, 'export default 1;\n'],
        [`node_modules/${name}/index.d.ts`, 'declare const all: unknown;\nexport default all;\n'],
      ]),
    ),
  };
  for (const [file, text] of Object.entries(files)) {
    mkdirSync(path.dirname(path.join(directory, file)), { recursive: true });
    writeFileSync(path.join(directory, file), text);
  }
  for (const file of ['.dependency-cruiser.cjs', 'tsconfig.json']) {
    copyFileSync(path.join(root, file), path.join(directory, file));
  }
  return directory;
}

/** Runs a program with Node to its end, whatever its exit code; resolves with what it printed. */
function node(args: string[], cwd: string): Promise<string> {
  return new Promise((resolve, reject) => {
    execFile(process.execPath, args, { cwd, timeout: 100_000, maxBuffer: 1 << 26 }, (error, stdout, stderr) =>
      stdout === '' ? reject(new Error(stderr || `ended with ${error?.code}`)) : resolve(stdout),
    );
  });
}

interface Violation {
  rule: { name: string };
  from: string;
}

async function violations(tree: Tree): Promise<string[]> {
  const directory = write(tree);
  const program = path.join(root, 'node_modules/dependency-cruiser/bin/dependency-cruise.mjs');
  const rooms = ['src', 'workflows', 'activities', 'api', 'drizzle', 'domain', 'packages', 'tools', 'test'];
  const output = await node(
    [program, '--config', '.dependency-cruiser.cjs', '--output-type', 'json', ...rooms],
    directory,
  );
  const { summary } = JSON.parse(output) as { summary: { violations: Violation[] } };
  return [...new Set(summary.violations.map(({ rule, from }) => `${rule.name} ${from}`))].sort();
}

describe('the laws of imports', () => {
  it('each have a breach here', () => {
    expect(Object.keys(breaches).sort()).toEqual([...rules].sort());
  });

  it('are kept by a lawful tree', async () => {
    expect(await violations(lawful)).toEqual([]);
  });

  it('each fail by name, and none besides, when it is broken', async () => {
    const broken: Tree = { ...lawful };
    for (const [rule, [file, text]] of Object.entries(breaches)) {
      const clean = path.posix.normalize(file);
      const bare = `${text}\nexport const ${rule.replaceAll('-', '_')} = 1;\n`;
      broken[clean] = `${lawful[clean] ?? ''}${bare}`;
    }
    const found = await violations(broken);
    for (const [rule, [file]] of Object.entries(breaches)) {
      const expected = `${rule} ${path.posix.normalize(file)}`;
      // A circle is reported from each of its files.
      expect([rule, found.includes(expected)]).toEqual([rule, true]);
    }
    const files = new Set(Object.values(breaches).map(([file]) => path.posix.normalize(file)));
    files.add('tools/local/stack.ts');
    expect(found.filter((line) => !files.has(line.split(' ')[1] as string))).toEqual([]);
  });
});

describe('the laws that eslint keeps', () => {
  /** The rules that strike a text as if it stood in `file`. */
  async function struck(texts: [file: string, text: string][]): Promise<string[][]> {
    const api = pathToFileURL(require.resolve('eslint')).href;
    const script = `
      const { default: { ESLint } } = await import(${JSON.stringify(api)});
      const eslint = new ESLint({ cwd: ${JSON.stringify(root)} });
      const found = [];
      for (const [filePath, text] of ${JSON.stringify(texts)}) {
        const [result] = await eslint.lintText(text, { filePath });
        found.push(result.messages.map(({ ruleId, message }) => ruleId ?? message));
      }
      console.log(JSON.stringify(found));`;
    return JSON.parse(await node(['--input-type=module', '--eval', script], root)) as string[][];
  }

  it('a clock, chance or environment in the domain and the environment outside its file are found', async () => {
    const clock = 'export const now = (): number => Date.now();\n';
    const chance = 'export const dice = (): number => Math.random();\n';
    const environment = "export const home = process.env['HOME'];\n";
    expect(
      await struck([
        ['domain/item/policy.ts', clock],
        ['domain/item/policy.ts', chance],
        ['domain/item/policy.ts', environment],
        [
          'domain/item/policy.ts',
          "import { readFileSync } from 'node:fs';\nexport const read = readFileSync;\n",
        ],
        ['workflows/item.ts', 'export const page = fetch;\n'],
        ['src/logger.ts', environment],
        ['activities/link.ts', environment],
        ['api/app.ts', environment],
        ['drizzle/index.ts', environment],
        ['packages/plaid-simulator/src/app.ts', environment],
        // Where it is allowed, nothing strikes: it is the law that was struck above, not the text.
        ['src/config.ts', environment],
        ['src/logger.ts', clock],
        ['activities/link.ts', chance],
      ]),
    ).toEqual([
      ['no-restricted-properties'],
      ['no-restricted-properties'],
      ['no-restricted-globals'],
      ['no-restricted-imports'],
      ['no-restricted-globals'],
      ['no-restricted-syntax'],
      ['no-restricted-syntax'],
      ['no-restricted-syntax'],
      ['no-restricted-syntax'],
      ['no-restricted-syntax'],
      [],
      [],
      [],
    ]);
  });

  it('state in a module that all workflows of a worker share is found', async () => {
    const counter = 'let n = 0;\nexport const next = (): number => (n += 1);\n';
    const memory = 'export const seen = new Map<string, string>();\n';
    const words = "export const words: ReadonlySet<string> = new Set(['a']);\n";
    const local = 'export const count = (): number => {\n  let n = 0;\n  n += 1;\n  return n;\n};\n';
    expect(
      await struck([
        ['domain/item/policy.ts', counter],
        ['workflows/item.ts', counter],
        ['workflows/item.ts', memory],
        ['workflows/item.ts', words],
        ['domain/item/policy.ts', local],
        ['src/logger.ts', counter],
      ]),
    ).toEqual([['no-restricted-syntax'], ['no-restricted-syntax'], ['no-restricted-syntax'], [], [], []]);
  });
});

it('what holds in every room, and what only types show, is found', async () => {
  const folder = mkdtempSync(path.join(tmpdir(), 'sluice-types-'));
  try {
    copyFileSync(path.join(root, '.oxlintrc.json'), path.join(folder, '.oxlintrc.json'));
    const compilerOptions = { strict: true, module: 'NodeNext', noEmit: true };
    writeFileSync(path.join(folder, 'tsconfig.json'), JSON.stringify({ compilerOptions }));
    writeFileSync(
      path.join(folder, 'one.ts'),
      `declare const read: () => Promise<void>;
declare const kind: 'open' | 'closed';
read();
export const body: string = JSON.parse('{}');
switch (kind) {
  case 'open':
    break;
}
console.log(1);
export const all = (unused: any): number => {
  let one = 1;
  // @ts-ignore
  return one;
};
`,
    );
    const program = require.resolve('oxlint/package.json').replace('package.json', 'bin/oxlint');
    const found = await node([program, '--type-aware', '--format', 'unix'], folder).catch(
      (error: { stdout: string }) => error.stdout,
    );
    for (const rule of [
      ...['no-floating-promises', 'no-unsafe-assignment', 'switch-exhaustiveness-check'],
      ...['no-console', 'no-unused-vars', 'no-explicit-any', 'prefer-const', 'ban-ts-comment'],
    ])
      expect(found).toContain(rule);
  } finally {
    rmSync(folder, { recursive: true });
  }
});
