import {
  CountryCode,
  Products,
  type LinkTokenCreateRequest,
  type LinkTokenGetSessionsResponse,
  type PlaidApi,
} from 'plaid';

/** A link token's request that says no more than it must. */
export const LINK_REQUEST: LinkTokenCreateRequest = {
  client_name: 'Harbor Budget',
  language: 'en',
  country_codes: [CountryCode.Us],
  user: { client_user_id: 'user-1' },
};

export async function linkToken(
  api: PlaidApi,
  more: Partial<LinkTokenCreateRequest> = { products: [Products.Transactions] },
): Promise<string> {
  return (await api.linkTokenCreate({ ...LINK_REQUEST, ...more })).data.link_token;
}

/** What `/link/token/get` tells of a token's sessions. */
export async function sessionsOf(api: PlaidApi, token: string): Promise<LinkTokenGetSessionsResponse[]> {
  return (await api.linkTokenGet({ link_token: token })).data.link_sessions ?? [];
}

/** A session as the page is told of it; only what tests look at. */
export interface PageView {
  session_id: string;
  pane: string;
  error: { error_code: string; error_type: string } | null;
  institutions: { institution_id: string; name: string; logo: string; primary_color: string }[];
  mfa: { type: string; prompts: { text: string; options: string[] | null }[] } | null;
  accounts: { id: string; mask: string; name: string; shared: boolean }[];
  oauth: { url: string } | null;
  can_retry: boolean;
  events: { name: string; metadata: Record<string, string | null> }[];
  heard: number;
  success: {
    public_token: string | null;
    metadata: { accounts: { id: string; mask: string }[]; link_session_id: string };
  } | null;
  exit: {
    error: { error_code: string } | null;
    metadata: { status: string | null; institution: { institution_id: string } | null };
  } | null;
}

/** Goes through Link as the page does: over HTTP, without a browser. */
export class PageWalk {
  view!: PageView;
  readonly events: string[] = [];

  private constructor(
    private readonly url: string,
    readonly token: string,
  ) {}

  static async open(
    url: string,
    token: string,
    surface = 'embedded',
    receivedUri?: string,
  ): Promise<PageWalk> {
    const walk = new PageWalk(url, token);
    walk.hear(
      await walk.post('/link/session/open', {
        link_token: token,
        surface,
        ...(receivedUri === undefined ? {} : { received_redirect_uri: receivedUri }),
      }),
    );
    return walk;
  }

  async act(action: string, more: object = {}): Promise<PageView> {
    return this.hear(
      await this.post('/link/session/act', {
        session_id: this.view.session_id,
        link_token: this.token,
        heard: this.view.heard,
        does: { action, ...more },
      }),
    );
  }

  /** To the sign-in form of a bank. */
  async toBank(institutionId = 'ins_109508'): Promise<PageView> {
    await this.act('continue');
    return this.act('institution', { institution_id: institutionId });
  }

  signIn(password = 'pass_good', username = 'user_good'): Promise<PageView> {
    return this.act('credentials', { username, password });
  }

  /** Shares the accounts with these masks, all by default, and leaves. */
  async finish(masks?: string[]): Promise<PageView> {
    const chosen = this.view.accounts.filter(({ mask }) => masks?.includes(mask) ?? true);
    await this.act('accounts', { account_ids: chosen.map(({ id }) => id) });
    return this.act('continue');
  }

  /** A call of the bank's page. */
  atBank(step: string, more: object = {}): Promise<Record<string, unknown> & { step: string }> {
    const state = new URL(this.view.oauth?.url ?? '', this.url).searchParams.get('state');
    return this.post(`/link/oauth/${step}`, { state, ...more });
  }

  async post<T>(path: string, body: object): Promise<T> {
    const response = await fetch(`${this.url}${path}`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(body),
    });
    const answer = (await response.json()) as T;
    if (!response.ok) throw new Error(`${response.status} ${JSON.stringify(answer)}`);
    return answer;
  }

  private hear(view: PageView): PageView {
    this.view = view;
    for (const { name, metadata } of view.events) {
      this.events.push(name === 'TRANSITION_VIEW' ? `→ ${metadata['view_name']}` : name);
    }
    return view;
  }
}
