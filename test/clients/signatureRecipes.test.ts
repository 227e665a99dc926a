import { execFileSync, spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { newSigningSecret } from '../../api/signingSecrets.js';
import { signedHeaders } from '../../src/clients/eventSignature.js';

/** The recipes of docs/exchange.md, each run against what is really sent. */
const page = readFileSync(new URL('../../docs/exchange.md', import.meta.url), 'utf8');

function recipe(language: string): string {
  const found = new RegExp(`<!-- recipe: ${language} -->\\n\\n\`\`\`\\w+\\n(.*?)\`\`\``, 's').exec(page)?.[1];
  if (found === undefined) throw new Error(`no recipe for ${language}`);
  return found;
}

const body = '{"id":"evt_1","data":{"name":"é, 漢 and a quote \\""}}';
const now = 1_700_000_000;
const secret = newSigningSecret('hmac');
const older = newSigningSecret('hmac');
const sent = signedHeaders('evt_1', now, body, [secret, older]);

interface Asked {
  secret: string;
  id: string;
  timestamp: string;
  signature: string;
  body: string;
  now: number;
}

const good: Asked = {
  secret,
  id: sent['webhook-id'],
  timestamp: sent['webhook-timestamp'],
  signature: sent['webhook-signature'],
  body,
  now,
};
/** What is asked, and whether it is genuine. */
const cases: [Asked, boolean][] = [
  [good, true],
  [{ ...good, secret: older }, true],
  [{ ...good, now: now + 299 }, true],
  [{ ...good, now: now + 301 }, false],
  [{ ...good, now: now - 301 }, false],
  [{ ...good, secret: newSigningSecret('hmac') }, false],
  [{ ...good, body: `${body} ` }, false],
  [{ ...good, id: 'evt_2' }, false],
  [{ ...good, timestamp: String(now + 1) }, false],
  [{ ...good, timestamp: 'soon' }, false],
  [{ ...good, signature: 'v1,AAAA v1a,BBBB nonsense' }, false],
  [{ ...good, signature: '' }, false],
];
const expected = cases.map(([, genuine]) => genuine);
const questions = JSON.stringify(cases.map(([asked]) => asked));

const has = (program: string, ...args: string[]): boolean => spawnSync(program, args).status === 0;
const dir = mkdtempSync(path.join(tmpdir(), 'sluice-recipes-'));
afterAll(() => rmSync(dir, { recursive: true, force: true }));

function answersOf(program: string, args: readonly string[], file: string, text: string): unknown {
  writeFileSync(path.join(dir, file), text);
  const env = { ...process.env, NODE_OPTIONS: '', GO111MODULE: 'off' };
  return JSON.parse(
    execFileSync(program, [...args, path.join(dir, file)], { input: questions, env }).toString(),
  );
}

it('in Node', () => {
  const program = `import { readFileSync } from 'node:fs';\n${recipe('node')}
    const asked = JSON.parse(readFileSync(0, 'utf8'));
    console.log(JSON.stringify(asked.map((one) => isGenuine(one.secret, one, Buffer.from(one.body), one.now))));`;
  expect(answersOf(process.execPath, [], 'recipe.mjs', program)).toEqual(expected);
});

(has('python3', '--version') ? it : it.skip)('in Python', () => {
  const program = `import json, sys\n${recipe('python')}
asked = json.load(sys.stdin)
print(json.dumps([is_genuine(o["secret"], o["id"], o["timestamp"], o["signature"], o["body"].encode(), o["now"]) for o in asked]))
`;
  expect(answersOf('python3', [], 'recipe.py', program)).toEqual(expected);
});

(has('go', 'version') ? it : it.skip)(
  'in Go',
  () => {
    const program = `package main
import ("crypto/hmac"; "crypto/sha256"; "encoding/base64"; "encoding/json"; "os"; "strconv"; "strings")
${recipe('go')}
func main() {
	var asked []struct{ Secret, Id, Timestamp, Signature, Body string; Now int64 }
	if err := json.NewDecoder(os.Stdin).Decode(&asked); err != nil { panic(err) }
	answers := []bool{}
	for _, one := range asked { answers = append(answers, IsGenuine(one.Secret, one.Id, one.Timestamp, one.Signature, []byte(one.Body), one.Now)) }
	json.NewEncoder(os.Stdout).Encode(answers)
}
`;
    expect(answersOf('go', ['run'], 'recipe.go', program)).toEqual(expected);
  },
  300_000,
);
