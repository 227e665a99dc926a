import type { ConnectionScope } from '../../domain/exchange/connection.js';
import { connectionScopes, inOrder } from '../../domain/exchange/connection.js';
import type { PortalConnection, PortalSession } from '../../domain/ports/portal.js';
import type { Html } from './html.js';
import { html } from './html.js';
import type { PortalSettings } from './settings.js';

/** What was done last; the words stand here, the address names them. */
const notices = {
  narrowed: 'Saved. What you took away can be read no more.',
  renewed: 'Done. The access goes on until the date below.',
  revoked: 'Done. The access has ended.',
  revoked_all: 'Done. No application has access to your accounts through a connection any more.',
  unchanged: 'Nothing was changed.',
  too_late: 'That access has changed or ended meanwhile. This is how it stands now.',
} as const;
export type Notice = keyof typeof notices;
export const noticeOf = (name: unknown): Notice | null =>
  typeof name === 'string' && Object.hasOwn(notices, name) ? (name as Notice) : null;

export interface Shown {
  /** Its path is the right to open it. */
  path: string;
  session: PortalSession;
  settings: PortalSettings;
  /** Milliseconds since the epoch. */
  now: number;
}

const inWords: Readonly<Record<ConnectionScope, string>> = {
  accounts: 'which accounts you have: their names, kinds and last digits',
  balances: 'how much money is in them',
  transactions: 'what you spend and receive',
  numbers: 'their account and routing numbers, with which money can be moved',
};

const lastRead: Readonly<Record<ConnectionScope, string>> = {
  accounts: 'accounts',
  balances: 'balances',
  transactions: 'spending and income',
  numbers: 'account numbers',
};

function dateOf(time: string, locale: string | null): Html {
  const words = new Intl.DateTimeFormat(locale ?? 'en-US', { dateStyle: 'long', timeZone: 'UTC' });
  return html`<time datetime="${time}">${words.format(new Date(time))}</time>`;
}

const nameOf = ({ face, application }: PortalConnection): string => face.display_name ?? application.name;

/** The time to which one press on "allow" moves an end. */
export const renewedUntil = ({ settings, now }: Pick<Shown, 'settings' | 'now'>): string =>
  new Date(now + settings.renewalMs).toISOString();

/** A whole document: one style sheet, no script, nothing from elsewhere. */
function document(settings: PortalSettings, title: string, body: Html): string {
  return html`<!doctype html>
    <html lang="en">
      <head>
        <meta charset="utf-8" />
        <meta name="viewport" content="width=device-width, initial-scale=1" />
        <meta name="robots" content="noindex" />
        <title>${title} · ${settings.name}</title>
        <link rel="icon" href="data:," />
        <link rel="stylesheet" href="/portal/style.css" />
      </head>
      <body>
        <header>
          ${settings.logo === null ? null : html`<img src="/portal/logo" alt="" />`}
          <p>${settings.name}</p>
        </header>
        <main>
          <h1>${title}</h1>
          ${body}
        </main>
      </body>
    </html> `.text;
}

const imageData = /^data:image\/(png|jpeg|webp|gif);base64,[A-Za-z0-9+/=]+$/;

/** Its logo where that comes with the page; one from elsewhere would tell elsewhere who looks here. */
function picture(connection: PortalConnection): Html {
  const { logo_url } = connection.face;
  if (logo_url !== null && imageData.test(logo_url))
    return html`<img class="face" src="${logo_url}" alt="" />`;
  return html`<span class="face initial" aria-hidden="true"
    >${[...nameOf(connection)][0]?.toUpperCase() ?? '?'}</span
  >`;
}

function identity(connection: PortalConnection): Html {
  const { company } = connection.face;
  return html`<div class="who">
    ${picture(connection)}
    <div>
      <h2>${nameOf(connection)}</h2>
      ${company === null ? null : html`<p class="soft">${company}</p>`}
    </div>
  </div>`;
}

const accountName = ({ name, mask }: PortalConnection['accounts'][number]): string =>
  `${name ?? 'An account'}${mask === null ? '' : ` ····${mask}`}`;

function statusLine(connection: PortalConnection, locale: string | null): Html {
  const { status, expires_at } = connection;
  if (status === 'suspended') {
    return html`<p><strong>Paused.</strong> Your bank has withdrawn its permission, and nothing is read.</p>`;
  }
  if (expires_at === null) return html`<p>Has access until you end it.</p>`;
  return status === 'expired'
    ? html`<p><strong>Ended</strong> on ${dateOf(expires_at, locale)}. Nothing is read any more.</p>`
    : html`<p>Has access until ${dateOf(expires_at, locale)}.</p>`;
}

/** A box that is ticked: what a form of the page takes away is what its user unticks. */
const ticked = (name: string, value: string, text: string): Html =>
  html`<label><input type="checkbox" name="${name}" value="${value}" checked /> <span>${text}</span></label>`;

/** What may be read: a form that can only take away. */
function mayRead({ scopes, lookback_days, status, connection_id }: PortalConnection, path: string): Html {
  const days = lookback_days === null ? '' : ` (of the last ${lookback_days} days)`;
  const granted = inOrder(scopes);
  const wordsOf = (scope: ConnectionScope): string =>
    `${inWords[scope]}${scope === 'transactions' ? days : ''}`;
  const title = status === 'active' ? 'It may read' : 'It could read';
  if (granted.length === 0)
    return html`<h3>${title}</h3>
      <p>Nothing.</p>`;
  if (status !== 'active') {
    return html`<h3>${title}</h3>
      <ul>
        ${granted.map((scope) => html`<li>${wordsOf(scope)}</li>`)}
      </ul>`;
  }
  const boxes = granted.map((scope) => ticked('scope', scope, wordsOf(scope)));
  return html`<form method="post" action="${path}/connections/${connection_id}/scopes">
    <fieldset>
      <legend><h3>${title}</h3></legend>
      ${boxes}
    </fieldset>
    <button type="submit">Let it read only what is ticked</button>
  </form>`;
}

function reads({ last_read_at }: PortalConnection, locale: string | null): Html {
  const lines = connectionScopes.flatMap((scope) => {
    const at = last_read_at[scope];
    return at === null ? [] : [html`<li>${lastRead[scope]}: ${dateOf(at, locale)}</li>`];
  });
  return html`<h3>It has read last</h3>
    ${
      lines.length === 0
        ? html`<p>Nothing yet.</p>`
        : html`<ul>
            ${lines}
          </ul>`
    }`;
}

/** The accounts: a form that can only take away where there is something to take. */
function accountsOf(connection: PortalConnection, path: string): Html {
  const { accounts, status, bank, new_accounts, connection_id } = connection;
  const at = `Accounts${bank === null ? '' : ` at ${bank}`}`;
  if (accounts.length === 0)
    return html`<h3>${at}</h3>
      <p>None.</p>`;
  if (status !== 'active') {
    return html`<h3>${at}</h3>
      <ul>
        ${accounts.map((account) => html`<li>${accountName(account)}</li>`)}
      </ul>`;
  }
  const boxes = accounts.map((account) => ticked('account', account.account_id, accountName(account)));
  const later = new_accounts ? ticked('later', 'yes', 'Accounts that I add later') : null;
  return html`<form method="post" action="${path}/connections/${connection_id}/accounts">
    <fieldset>
      <legend><h3>${at}</h3></legend>
      ${boxes}${later}
    </fieldset>
    <button type="submit">Share only what is ticked</button>
  </form>`;
}

/** Whether one press gives a later end than there is. */
export function isRenewable(connection: PortalConnection, shown: Pick<Shown, 'settings' | 'now'>): boolean {
  const { status, expires_at, bankRevoked } = connection;
  if (status === 'suspended') return !bankRevoked;
  return expires_at !== null && Date.parse(expires_at) < Date.parse(renewedUntil(shown));
}

function buttons(connection: PortalConnection, shown: Shown): Html {
  const of = `${shown.path}/connections/${connection.connection_id}`;
  const until = dateOf(renewedUntil(shown), shown.session.locale);
  const verb = connection.status === 'active' ? 'Extend' : 'Allow again';
  return html`${
      isRenewable(connection, shown)
        ? html`<form method="post" action="${of}/renew">
            <button type="submit">${verb} until ${until}</button>
          </form>`
        : null
    }<a class="button" href="${of}/revoke"
      >${connection.status === 'expired' ? 'End it for good' : 'Stop sharing'}</a
    >`;
}

function card(connection: PortalConnection, shown: Shown): Html {
  const { face, status, created_at } = connection;
  const { locale } = shown.session;
  const purpose = connection.purpose ?? face.reason_for_access;
  return html`<section class="card${status === 'active' ? '' : ' ended'}">
    ${identity(connection)} ${purpose === null ? null : html`<p>${purpose}</p>`}
    ${statusLine(connection, locale)}
    ${
      face.access === 'all'
        ? html`<p class="soft">
            It belongs to ${shown.settings.name} itself, and works with your accounts as long as they are
            linked here. When nobody else uses an account, ending this takes the account away.
          </p>`
        : null
    }
    <p class="soft">Since ${dateOf(created_at, locale)}.</p>
    ${mayRead(connection, shown.path)} ${accountsOf(connection, shown.path)} ${reads(connection, locale)}
    ${buttons(connection, shown)}
  </section>`;
}

function wayBack({ returnUrl }: PortalSession): Html | null {
  if (returnUrl === null) return null;
  return html`<p><a href="${returnUrl}" rel="noreferrer">Back to ${new URL(returnUrl).hostname}</a></p>`;
}

/** Everything that has access, or had until its time was over. */
export function overview(
  connections: readonly PortalConnection[],
  notice: Notice | null,
  shown: Shown,
): string {
  const body = html`${notice === null ? null : html`<p class="notice" role="status">${notices[notice]}</p>`}
    ${
      connections.length === 0
        ? html`<p>No application has access to your accounts.</p>`
        : html`<p class="soft">
              These applications may read your bank accounts. You may take away accounts, or what may be read
              of them, or end an access at any time.
            </p>
            ${connections.map((connection) => card(connection, shown))}`
    }
    ${connections.length > 1 ? html`<p><a class="button" href="${shown.path}/revoke-all">Stop sharing with all of them</a></p>` : null}
    ${wayBack(shown.session)}
    <p class="soft">
      This page closes at
      ${new Intl.DateTimeFormat(shown.session.locale ?? 'en-US', { timeStyle: 'short', timeZone: 'UTC' }).format(new Date(shown.session.expiresAt))}
      UTC. Open it anew from where you came.
    </p>`;
  return document(shown.settings, 'Who can see my accounts', body);
}

/** The step before an end, which nothing undoes. */
export function confirmRevocation(connection: PortalConnection, shown: Shown): string {
  const name = nameOf(connection);
  const body = html`<section class="card">
    ${identity(connection)}
    <p>
      ${name} will read nothing of your accounts${connection.bank === null ? '' : ` at ${connection.bank}`}
      from now on. What it has read already stays with it: ask it to delete that.
    </p>
    <p>This cannot be undone here. To share once more, link the account in ${name}.</p>
    <form method="post" action="${shown.path}/connections/${connection.connection_id}/revoke">
      <button type="submit" class="first">Stop sharing with ${name}</button>
    </form>
    <a class="button" href="${shown.path}">Keep sharing</a>
  </section>`;
  return document(shown.settings, `Stop sharing with ${name}?`, body);
}

export function confirmRevocationOfAll(connections: readonly PortalConnection[], shown: Shown): string {
  const names = [...new Set(connections.map(nameOf))];
  const body = html`<section class="card">
    <p>These will read nothing of your accounts from now on:</p>
    <ul>
      ${names.map((name) => html`<li>${name}</li>`)}
    </ul>
    <p>What they have read already stays with them. This cannot be undone here.</p>
    <form method="post" action="${shown.path}/revoke-all">
      <button type="submit" class="first">Stop sharing with all of them</button>
    </form>
    <a class="button" href="${shown.path}">Keep sharing</a>
  </section>`;
  return document(shown.settings, 'Stop sharing with everybody?', body);
}

/** A page that says only why there is none. */
export const problemDocument = (settings: PortalSettings, title: string, text: string): string =>
  document(settings, title, html`<p>${text}</p>`);
