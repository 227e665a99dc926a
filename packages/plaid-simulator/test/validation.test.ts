import { call, REQUESTS, type Answer, type Scene } from './endpoints.js';
import { PlaidTypes, type PublishedField } from './plaidTypes.js';
import { Rig } from './rig.js';

const types = new PlaidTypes();
const NO_CREDENTIALS = { 'plaid-client-id': '', 'plaid-secret': '' };
/** Needs no credentials at all. */
const OPEN = '/categories/get';
/** Taken for what Link looks like, and not looked into. */
const LINK = '/link/token/create';
/** Values of every kind that JSON knows; those that a field's published type does not allow must be refused. */
const PROBES: readonly unknown[] = [5.5, 'nonsense', true, null, ['nonsense'], [5.5], { nonsense: 1 }];

/** Null is taken though it is not published, because Plaid's own software sends it: samples for Node, the client for Go before its 1.0. */
const NULL_ALL_THE_SAME = [
  '/transactions/sync cursor',
  ...[
    ...['/accounts/get', '/accounts/balance/get', '/auth/get', '/identity/get', '/transactions/get'],
    ...['/investments/holdings/get', '/investments/transactions/get', '/liabilities/get'],
  ].map((path) => `${path} options.account_ids`),
];

type Body = Record<string, unknown>;

/** A place in a request: the object there, what Plaid publishes about it, and a way to put another one in its place. */
interface Place {
  at: string;
  object: Body;
  fields: PublishedField[];
  with: (object: Body) => Body;
}

/** The request itself and every object in it. */
function placesIn(typeName: string, object: Body, at = '', put: Place['with'] = (body) => body): Place[] {
  const fields = types.fields(typeName).filter(({ name }) => name !== 'client_id' && name !== 'secret');
  const inner = fields.flatMap((field): Place[] => {
    const value = object[field.name];
    const type = types.objectIn(field.type);
    if (type === undefined || typeof value !== 'object' || value === null) return [];
    const place = `${at}${field.name}.`;
    if (!Array.isArray(value)) {
      return placesIn(type, value as Body, place, (body) => put({ ...object, [field.name]: body }));
    }
    const [first, ...rest] = value as Body[];
    if (!first) return [];
    return placesIn(type, first, place, (body) => put({ ...object, [field.name]: [body, ...rest] }));
  });
  return [{ at, object, fields, with: put }, ...inner];
}

function without(object: Body, name: string): Body {
  return Object.fromEntries(Object.entries(object).filter(([key]) => key !== name));
}

describe('each endpoint', () => {
  let rig: Rig;
  let scene: Scene;
  beforeAll(async () => {
    rig = await Rig.start({ now: Date.now() });
    const { accessToken, itemId } = await rig.link();
    await rig.control('POST', `/_sim/items/${itemId}/advance`, { to: 'idle' });
    const { data } = await rig.api.accountsGet({ access_token: accessToken });
    scene = { rig, accessToken, itemId, accountId: data.accounts[0]?.account_id ?? '' };
  });
  afterAll(() => rig.close());

  /** What was answered, in one line that a list of expectations can be compared with. */
  const said = ({ status, body }: Answer) => `${status} ${body.error_code ?? 'answered'}`;
  const refused = (code: string) => `400 ${code}`;

  const paths = Object.keys(REQUESTS).map((path) => [path] as const);
  const places = async (path: string) =>
    placesIn(types.endpoint(path).request, (await REQUESTS[path]?.(scene)) ?? {});

  it.each(paths)('%s says what is missing', async (path) => {
    for (const place of await places(path)) {
      for (const { name } of place.fields.filter(({ required }) => required)) {
        const answer = await call(rig, path, place.with(without(place.object, name)));
        expect(`${place.at}${name}: ${said(answer)}`).toBe(
          `${place.at}${name}: ${refused('MISSING_FIELDS')}`,
        );
        expect(String(answer.body['error_message'])).toContain(name);
      }
    }
  });

  it.each(paths)('%s knows all published fields and no others', async (path) => {
    for (const place of await places(path)) {
      // Of the user of a link token Plaid knows more than is of use here.
      if (path === LINK && place.at !== '') continue;
      const odd = await call(rig, path, place.with({ ...place.object, unheard_of: 1 }));
      expect(`${place.at}${said(odd)}`).toBe(`${place.at}${refused('UNKNOWN_FIELDS')}`);
      expect(String(odd.body['error_message'])).toContain('unheard_of');
      for (const { name } of place.fields) {
        const answer = await call(rig, path, place.with({ ...place.object, [name]: { nonsense: {} } }));
        expect(String(answer.body['error_message'])).not.toMatch(`${name}$`);
      }
    }
  });

  it.each(paths)('%s refuses values that the published types do not allow', async (path) => {
    const accepted: string[] = [];
    for (const place of await places(path)) {
      for (const field of place.fields) {
        if (path === LINK && !(field.name in place.object)) continue;
        for (const value of PROBES.filter((probe) => !types.allows(field, probe))) {
          if (value === null && NULL_ALL_THE_SAME.includes(`${path} ${place.at}${field.name}`)) continue;
          const answer = await call(rig, path, place.with({ ...place.object, [field.name]: value }));
          const what = `${place.at}${field.name}: ${JSON.stringify(value)}: ${said(answer)}`;
          const { status, body } = answer;
          const allowed = ['INVALID_FIELD', 'INVALID_PRODUCT', 'UNKNOWN_FIELDS', 'MISSING_FIELDS'];
          if (status !== 400 || !allowed.includes(body.error_code ?? '')) accepted.push(what);
        }
      }
    }
    expect(accepted).toEqual([]);
  });

  it.each(paths)('%s takes null for options as INVALID_FIELD', async (path) => {
    const request = (await REQUESTS[path]?.(scene)) ?? {};
    if (!types.fields(types.endpoint(path).request).some(({ name }) => name === 'options')) return;
    expect(said(await call(rig, path, { ...request, options: null }))).toBe(refused('INVALID_FIELD'));
  });

  it.each(NULL_ALL_THE_SAME.map((place) => place.split(' ') as [string, string]))(
    '%s takes null for %s as nothing',
    async (path, field) => {
      const { access_token, start_date, end_date } = (await REQUESTS[path]?.(scene)) ?? {};
      const body = { access_token, start_date, end_date };
      const none = field === 'cursor' ? { cursor: null } : { options: { account_ids: null } };
      const answer = await call(rig, path, { ...body, ...none });
      expect(said(answer)).toBe('200 answered');
      const usual = await call(rig, path, body);
      expect({ ...answer.body, request_id: '' }).toEqual({ ...usual.body, request_id: '' });
    },
  );

  it.each(paths)('%s wants JSON, and says so', async (path) => {
    expect(said(await call(rig, path, '{"a":'))).toBe(refused('INVALID_BODY'));
    expect(said(await call(rig, path, '"text"'))).toBe(refused('INVALID_BODY'));
    expect(said(await call(rig, path, '{}', { 'content-type': 'text/plain' }))).toBe(
      refused('INVALID_HEADERS'),
    );
    const got = await fetch(`${rig.url}${path}`);
    expect(got.status).toBe(404);
    expect(await got.json()).toMatchObject({ error_code: 'NOT_FOUND', error_type: 'INVALID_REQUEST' });
  });

  it.each(paths.filter(([path]) => path !== OPEN))(
    '%s wants credentials, in headers or body',
    async (path) => {
      const request = { ...((await REQUESTS[path]?.(scene)) ?? {}), unheard_of: 1 };
      const none = await call(rig, path, request, NO_CREDENTIALS);
      expect(none.body).toMatchObject({
        error_code: 'MISSING_FIELDS',
        error_message: 'the following required fields are missing: client_id, secret',
      });
      const half = await call(rig, path, { ...request, client_id: 'a' }, NO_CREDENTIALS);
      expect(half.body['error_message']).toBe('the following required fields are missing: secret');
      const both = await call(rig, path, { ...request, client_id: 'a', secret: 'b' }, NO_CREDENTIALS);
      expect(said(both)).toBe(refused('UNKNOWN_FIELDS'));
      const slashed = await call(rig, `/${path}/`, { ...request });
      expect(said(slashed)).toBe(refused('UNKNOWN_FIELDS'));
    },
  );

  it.each(paths)('%s names each answer with a request_id of its own', async (path) => {
    const ids = [
      (await call(rig, path, '{')).body['request_id'],
      (await call(rig, path, { unheard_of: 1 })).body['request_id'],
      (await call(rig, path, {})).body['request_id'],
    ];
    for (const id of ids) expect(id).toMatch(/^[A-Za-z0-9]{15}$/);
    expect(new Set(ids).size).toBe(ids.length);
  });

  it('asks for no credentials where the categories are', async () => {
    expect(said(await call(rig, OPEN, {}, NO_CREDENTIALS))).toBe('200 answered');
    expect(said(await call(rig, OPEN, { unheard_of: 1 }, NO_CREDENTIALS))).toBe(refused('UNKNOWN_FIELDS'));
  });
});
