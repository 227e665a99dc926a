import { readFileSync } from 'node:fs';
import { Ajv2020 } from 'ajv/dist/2020.js';
import type { ValidateFunction } from 'ajv/dist/2020.js';
import formats from 'ajv-formats';
import { problemCodes, problemTypes } from '../../api/problems.js';
import { createWorld } from './world.js';
import { documentOf, operationsOf } from './openapiDocument.js';

const world = createWorld();
const { app, keys } = world;

let document: any;
let ajv: Ajv2020;
beforeAll(async () => {
  document = await documentOf(app);
  ajv = new Ajv2020({ strict: false, allErrors: true });
  (formats as unknown as (ajv: Ajv2020) => void)(ajv);
  ajv.addSchema({ ...document, $id: 'openapi' });
});
afterAll(() => app.close());

/** Hundreds of answers are of the same few schemas, and each takes its time to compile. */
const validators = new Map<string, ValidateFunction>();

function validatorOf(pointer: string): ValidateFunction {
  const names = pointer.split('/').slice(1).map(unescape);
  const schema = names.reduce((part, name) => part[name], document);
  if (typeof schema.$ref === 'string') return validatorOf(schema.$ref.slice(1));
  const known = validators.get(pointer) ?? ajv.compile({ $ref: `openapi#${pointer}` });
  validators.set(pointer, known);
  return known;
}

/** Validates `value` by the schema at a JSON pointer of the document. */
function faults(pointer: string, value: unknown): string[] {
  const validate = validatorOf(pointer);
  return validate(value)
    ? []
    : (validate.errors ?? []).map((error) => `${error.instancePath} ${error.message}`);
}

const escape = (text: string): string => text.replaceAll('~', '~0').replaceAll('/', '~1');
const unescape = (text: string): string => text.replaceAll('~1', '/').replaceAll('~0', '~');

describe('the OpenAPI document', () => {
  it('is 3.1, and describes every operation with its key, its examples and its problems', () => {
    expect(document.openapi).toBe('3.1.0');
    expect(document.info.version).toBe('1.2.3');
    const ids = new Set<string>();
    for (const { method, path, definition, scope } of operationsOf(document)) {
      const where = `${method} ${path}`;
      ids.add(definition.operationId);
      expect([where, typeof definition.summary, definition.tags.length]).toEqual([where, 'string', 1]);
      if (path.startsWith('/v1')) expect([where, scope]).not.toEqual([where, null]);
      for (const status of scope === null ? [] : ['400', '401', '403', '500', '503']) {
        expect([where, Object.keys(definition.responses[status].content)]).toEqual([
          where,
          ['application/problem+json'],
        ]);
      }
      for (const parameter of definition.parameters ?? []) {
        if (parameter.in === 'path') expect([where, parameter.example]).not.toEqual([where, undefined]);
      }
    }
    expect(ids.size).toBe(operationsOf(document).length);
  });

  it('has examples for every body that is sent and every answer, and its schemas take each of them', () => {
    type Example = { value?: unknown; $ref?: string };
    type Media = { example?: unknown; examples?: Record<string, Example> };
    const components = Object.entries(
      document.components.schemas as Record<string, { examples?: unknown[] }>,
    );
    for (const [name, { examples = [] }] of components) {
      for (const example of examples) {
        expect([name, faults(`/components/schemas/${name}`, example)]).toEqual([name, []]);
      }
    }
    const shared = document.components.examples as Record<string, { value: unknown }>;
    const unused = new Set(Object.keys(shared));
    const valueOf = ({ value, $ref = '' }: Example): unknown => {
      const name = $ref.split('/').pop() ?? '';
      unused.delete(name);
      return $ref === '' ? value : shared[name]?.value;
    };
    const check = (pointer: string, content: Record<string, Media>): void => {
      for (const [type, media] of Object.entries(content)) {
        const where = `${pointer}/${escape(type)}`;
        const examples = [
          ...(media.example === undefined ? [] : [media.example]),
          ...Object.values(media.examples ?? {}).map(valueOf),
        ];
        expect([where, examples.length > 0]).toEqual([where, true]);
        for (const example of examples) {
          expect([where, faults(`${where}/schema`, example)]).toEqual([where, []]);
        }
      }
    };
    for (const { method, path, definition } of operationsOf(document)) {
      const pointer = `/paths/${escape(path)}/${method.toLowerCase()}`;
      if (definition.requestBody) check(`${pointer}/requestBody/content`, definition.requestBody.content);
      for (const [status, response] of Object.entries<any>(definition.responses)) {
        if (status === '204') continue;
        check(`${pointer}/responses/${status}/content`, response.content);
        const named = [...response.description.matchAll(/`(\w+)`: /g)].map(([, code]) => code);
        if (Number(status) < 400) continue;
        expect(Object.keys(response.content['application/problem+json'].examples)).toEqual(named);
        for (const code of named) expect(shared[code]?.value).toMatchObject({ code, status: Number(status) });
      }
    }
    expect([...unused]).toEqual([]);
  });

  it('is the one in docs, to the letter', () => {
    const read = (file: string): string => readFileSync(new URL(`../../${file}`, import.meta.url), 'utf8');
    const { version } = JSON.parse(read('package.json')) as { version: string };
    const expected = { ...document, info: { ...document.info, version } };
    // After a change of the API: npm run openapi
    expect(JSON.parse(read('docs/openapi.json'))).toEqual(expected);
    expect(read('docs/openapi.json')).toBe(`${JSON.stringify(expected, null, 2)}\n`);
  });

  it('is what the answers look like', async () => {
    world.rows.transactions = [JSON.stringify(document.components.schemas.Transaction.examples[0])];
    world.rows.accounts = [JSON.stringify(document.components.schemas.Account.examples[0])];
    const bodies: Record<string, object> = {
      '/v1/users/{userId}/items': { public_token: 'public-1' },
      '/v1/users/{userId}/link-token': {},
      '/v1/items/{itemId}': { main_account_id: 'account-1' },
      '/v1/users/{userId}/floats/{floatId}': { status: 'active' },
      '/v1/applications': { name: 'a' },
      '/v1/items/{itemId}/connections': { application_id: 'app-1', scopes: [], account_ids: null },
      '/v1/connections/{id}/renew': { expires_at: null },
      '/v1/applications/{id}/keys': { scopes: ['read'] },
      '/v1/endpoints': { url: 'https://hooks.example/a' },
      '/v1/endpoints/{id}/recover': { since: '2026-11-27T00:00:00Z' },
      '/v1/endpoints/{id}/replay': { since: '2026-11-27T00:00:00Z' },
    };
    await app.inject({ method: 'POST', url: '/webhooks/plaid', payload: '{}' });
    await world.deps.floats.record({
      userId: 'user-1',
      floatId: 'x',
      status: 'active',
      occurredAt: null,
      by: null,
    });
    const seen: string[] = [];
    for (const { method, path, url, definition } of operationsOf(document)) {
      const good =
        {
          '/v1/webhooks/{id}': '/v1/webhooks/webhook-1',
          '/v1/webhooks/{id}/replay': '/v1/webhooks/webhook-1/replay',
          '/v1/keys/{id}': '/v1/keys/key-1',
          '/v1/connections/{id}': '/v1/connections/connection-1',
          '/v1/connections/{id}/history': '/v1/connections/connection-1/history',
          '/v1/connections/{id}/renew': '/v1/connections/connection-1/renew',
          '/v1/connections/{id}/revoke': '/v1/connections/connection-1/revoke',
          // The first has an active float.
          '/v1/users/{userId}': '/v1/users/user-2',
        }[path] ??
        url.replace(/(v1\/endpoints\/)[^/]+/, '$1end_1').replace(/(v1\/deliveries\/)[^/]+/, '$1dlv_1');
      const payload = ['POST', 'PUT', 'PATCH'].includes(method) ? (bodies[path] ?? {}) : undefined;
      for (const [who, headers] of [
        ['stranger', {}],
        ['friend', keys.all],
      ] as const) {
        const answer = await app.inject({ method, url: good, headers, ...(payload ? { payload } : {}) });
        const where = `${method} ${path} ${who} ${answer.statusCode}`;
        const described = definition.responses[String(answer.statusCode)];
        expect([where, described === undefined]).toEqual([where, false]);
        if (who === 'friend') expect([where, answer.statusCode < 300]).toEqual([where, true]);
        seen.push(where);
        if (answer.statusCode === 204) {
          expect([where, described.content, answer.body]).toEqual([where, undefined, '']);
          continue;
        }
        const type = String(answer.headers['content-type']).split(';')[0]!;
        expect([where, Object.keys(described.content)]).toEqual([where, [type]]);
        if (!type.endsWith('json') || type.endsWith('ndjson')) continue;
        const pointer = `/paths/${escape(path)}/${method.toLowerCase()}/responses/${answer.statusCode}/content/${escape(type)}/schema`;
        expect([where, faults(pointer, answer.json())]).toEqual([where, []]);
      }
    }
    expect(seen.length).toBe(operationsOf(document).length * 2);
  });

  it('has a page at /docs that loads nothing from elsewhere', async () => {
    const page = await app.inject('/docs');
    expect(page.statusCode).toBe(200);
    expect(page.headers['content-security-policy']).toContain("default-src 'none'");
    const links = [...page.body.matchAll(/(?:src|href)="([^"]+)"/g)].map((match) => match[1]!);
    expect(links.length).toBeGreaterThan(3);
    for (const link of links) {
      expect(link).toMatch(/^\.?\/(docs|static)/);
      expect([link, (await app.inject(link)).statusCode]).toEqual([link, 200]);
    }
    const initializer = (await app.inject('/docs/static/swagger-initializer.js')).body;
    expect(initializer).toContain('"validatorUrl":null');
    expect((await app.inject('/docs/json')).json().info.title).toBe('Sluice');
  });
});

describe('problem types', () => {
  it('each have a page where `type` leads', async () => {
    for (const code of problemCodes) {
      const page = await app.inject(`/problems/${code}`);
      expect([page.statusCode, page.headers['content-type']]).toEqual([200, 'text/plain; charset=utf-8']);
      expect(page.body).toContain(problemTypes[code].help);
    }
  });

  it('each stand in the documentation', () => {
    const page = readFileSync(new URL('../../docs/api-errors.md', import.meta.url), 'utf8');
    // The formatter pads the columns of tables.
    const text = page.replace(/ +/g, ' ');
    for (const code of problemCodes) {
      const { status, title, help } = problemTypes[code];
      expect(text).toContain(`| \`${code}\` | ${status} | ${title} | ${help} |`);
    }
    expect([...text.matchAll(/^\| `/gm)].length).toBe(problemCodes.length);
  });
});
