import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import ts from 'typescript';

const root = fileURLToPath(new URL('..', import.meta.url));

const rooms = [
  'activities',
  'api',
  'domain',
  'drizzle',
  'packages/plaid-simulator/src',
  'src',
  'tools',
  'workflows',
];

/**
 * Words that names in code do not use, since each of them once meant several things (docs/architecture.md, "Words"). A word is
 * a part of a name: `toldAt` uses `told`, `watermark` does not use `mark`.
 */
const givenUp: Record<string, RegExp> = {
  tell: /^(un)?(tell|tells|telling|told)$/,
  settle: /^(settle|settles|settled|settling|settlement)$/,
  look: /^(look|looks|looked|looking)$/,
  claim: /^(claim|claims|claimed|claiming)$/,
  horizon: /^horizons?$/,
  mark: /^(mark|marks|marked|marking|marker|markers)$/,
  rest: /^(rest|rests|rested|resting)$/,
  again: /^again$/,
  turn: /^(turn|turns|turned|turning)$/,
};

/** Names that stay, and where: wire names, names of JavaScript, and the one meaning that a word has kept. */
const kept: { names: RegExp; files: RegExp; why: string }[] = [
  {
    names: /^(sweepTold|toldAt|outboxMarks|settledAt|horizon|claim|claimedUntil|restsUntil|expiryToldDays)$/,
    files: /^drizzle\//,
    why: 'tables, columns',
  },
  {
    names: /^(settleItemWebhooks|settleRemovals|lookAtHistory)$/,
    files: /^(activities|workflows|src\/temporal|tools\/faults\/core)\//,
    why: 'activities',
  },
  { names: /^restUntil$/, files: /^(domain\/item|workflows)\//, why: 'carried by workflows' },
  {
    names: /^(streamsTold|settled)$/,
    files: /^packages\/plaid-simulator\/src\/item\//,
    why: 'stored in state files of the simulator',
  },
  { names: /^(allSettled|PromiseSettledResult)$/, files: /./, why: 'JavaScript' },
  {
    names: /^settled?$/,
    files: /^(api\/(intake|app)|src\/clients\/postgresWire|packages\/plaid-simulator\/src\/schedule)\.ts$/,
    why: 'a promise that has ended',
  },
  { names: /^rest$/, files: /./, why: 'what remains of a list, an object or a number' },
  { names: /^look(ed|ing)?Up$/, files: /./, why: 'a question to a store by a key' },
  {
    names: /^claims$|^Claims$|^claimsRejection$/,
    files: /^(src\/clients\/plaidWebhook|tools\/bench\/webhookSource)\.ts$/,
    why: 'what a JSON Web Token states',
  },
];

const wordsOf = (name: string): string[] =>
  (name.match(/[A-Z]?[a-z]+|[A-Z]+(?![a-z])/g) ?? []).map((word) => word.toLowerCase());

const known = new Map<string, string | undefined>();

/** Which of the words a name uses; the same names come thousands of times. */
function givenUpIn(name: string): string | undefined {
  if (!known.has(name)) {
    const words = wordsOf(name);
    known.set(
      name,
      Object.keys(givenUp).find((key) => words.some((word) => (givenUp[key] as RegExp).test(word))),
    );
  }
  return known.get(name);
}

/** Names in a source text that use a word which was given up: `<file>:<line> <name> (<word>)`. */
function misused(file: string, text: string): string[] {
  const source = ts.createSourceFile(file, text, ts.ScriptTarget.Latest);
  const found: string[] = [];
  const visit = (node: ts.Node): void => {
    if (ts.isIdentifier(node) || ts.isPrivateIdentifier(node)) {
      const word = givenUpIn(node.text);
      const stays = kept.some(({ names, files }) => names.test(node.text) && files.test(file));
      if (word !== undefined && !stays) {
        const { line } = source.getLineAndCharacterOfPosition(node.getStart(source));
        found.push(`${file}:${line + 1} ${node.text} (${word})`);
      }
    }
    ts.forEachChild(node, visit);
  };
  visit(source);
  return found;
}

const sources = (): string[] =>
  rooms.flatMap((room) =>
    readdirSync(path.join(root, room), { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isFile() && /\.(ts|mjs|js)$/.test(entry.name))
      .map((entry) => path.relative(root, path.join(entry.parentPath, entry.name)))
      .filter((file) => !/(^|\/)(node_modules|dist|migrations)\//.test(file)),
  );

test('names in code do not use the words that were given up', () => {
  const files = sources();
  expect(files.length).toBeGreaterThan(300);
  expect(files.flatMap((file) => misused(file, readFileSync(path.join(root, file), 'utf8')))).toEqual([]);
});

test('a name that uses one is found, whatever its form; comments, strings and whole other words are not', () => {
  const text = [
    'const toldItems = [];',
    'function markSent(): void {}',
    'class Turn { #horizon = LAST_LOOK; untold = 1; }',
    "// told, settled, marked: 'again'",
    "const watermark = 'mark', restart = `turn`, returned = lookUp('x'), latest = [...rest];",
  ].join('\n');
  expect(misused('api/example.ts', text)).toEqual([
    'api/example.ts:1 toldItems (tell)',
    'api/example.ts:2 markSent (mark)',
    'api/example.ts:3 Turn (turn)',
    'api/example.ts:3 #horizon (horizon)',
    'api/example.ts:3 LAST_LOOK (look)',
    'api/example.ts:3 untold (tell)',
  ]);
});

test('a name that stays does so in its own place only', () => {
  expect(misused('drizzle/schema.ts', 'const { sweepTold, settledAt } = tables;')).toEqual([]);
  expect(misused('api/example.ts', 'const { sweepTold } = tables;')).toHaveLength(1);
});
