/** What every secret of the error below begins with. */
export const canary = 'canary-';

class AxiosError extends Error {}

/** An error as an HTTP client makes it: the request with its credentials, the answer with its tokens. */
export function foreignError() {
  const cause = Object.assign(new Error(`${canary}cause`), { code: 'ECONNRESET' });
  const error = new AxiosError(`${canary}message\n    at ${canary}line\n${canary}last line`, { cause });
  error.name = 'AxiosError';
  return Object.assign(error, {
    code: 'ERR_BAD_REQUEST',
    type: `${canary}type`,
    config: { headers: { 'PLAID-SECRET': `${canary}header` }, data: `{"access_token":"${canary}token"}` },
    data: { access_token: `${canary}token` },
    response: { data: { account: `${canary}number` } },
    upstream: `${canary}upstream`,
    [`${canary}field`]: `${canary}value`,
  });
}
