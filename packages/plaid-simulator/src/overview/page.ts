import { instant } from '../calendar.js';
import type { Item } from '../item/item.js';
import type { World } from '../world.js';
import type { Delivery } from '../webhooks/delivery.js';
import { html, type Html } from './html.js';

const ITEMS_PER_PAGE = 50;
const SHOWN_WEBHOOKS = 40;
const SHOWN_VIOLATIONS = 20;

export interface OverviewQuery {
  /** From 1. */
  page: number;
  /** Part of an item id, institution, user name or client id. */
  search: string;
}

/** The page at `/_sim`: what there is at this moment. Its script puts the newest `<main>` in place every few seconds. */
export function overviewPage(world: World, query: OverviewQuery): string {
  const items = itemsLike(world, query.search);
  const pages = Math.max(1, Math.ceil(items.length / ITEMS_PER_PAGE));
  const page = Math.min(query.page, pages);
  const shown = items.slice((page - 1) * ITEMS_PER_PAGE, page * ITEMS_PER_PAGE);
  return html`<!doctype html>
    <html lang="en">
      <head>
        <meta charset="utf-8" />
        <meta name="viewport" content="width=device-width" />
        <title>Plaid simulator</title>
        <link rel="stylesheet" href="/_sim/overview.css" />
        <script type="module" src="/_sim/overview.js"></script>
      </head>
      <body>
        <header>
          <h1>Plaid simulator</h1>
          <form method="get" action="/_sim">
            <input
              name="q"
              value="${query.search}"
              placeholder="item, bank, user or client id"
              aria-label="Search items"
            />
          </form>
          <p id="said" role="status"></p>
        </header>
        <main>
          ${clock(world)} ${faults(world)} ${violations(world)}
          <section>
            <h2>Items <small>${items.length}</small></h2>
            ${pager(page, pages, query.search)}
            <table>
              <thead>
                <tr>
                  ${['Item', 'Bank', 'User', 'Applications', 'Phase', 'Status', 'Rows', 'Last webhook', ''].map(heading)}
                </tr>
              </thead>
              <tbody>
                ${shown.map((item) => itemRow(world, item))}
              </tbody>
            </table>
            ${items.length === 0 ? html`<p>There is none. Link one: /sandbox/public_token/create.</p>` : null}
          </section>
          ${webhooks(world)}
        </main>
      </body>
    </html>`.text;
}

function heading(text: string): Html {
  return html`<th>${text}</th>`;
}

function button(label: string, path: string, body: object): Html {
  return html`<button type="button" data-path="${path}" data-body="${JSON.stringify(body)}">
    ${label}
  </button>`;
}

function itemsLike(world: World, search: string): Item[] {
  const wanted = search.toLowerCase();
  const all = [...world.items.values()].reverse();
  if (wanted === '') return all;
  return all.filter(({ id, facts }) =>
    [
      ...[id, facts.username, facts.institutionId, institutionName(world, facts.institutionId)],
      facts.application?.id ?? '',
    ].some((text) => text.toLowerCase().includes(wanted)),
  );
}

function institutionName(world: World, id: string): string {
  return world.institutions.get(id)?.name ?? id;
}

function clock(world: World): Html {
  const now = instant(world.clock.now());
  const ahead = (label: string, advance: string) => button(label, '/_sim/clock', { advance });
  return html`<section class="clock">
    <h2>Clock</h2>
    <p>
      <time>${now.slice(0, 19).replace('T', ' ')}</time> × ${world.clock.scale} · seed ${world.seed}
      ${[ahead('+1 minute', 'PT1M'), ahead('+1 hour', 'PT1H'), ahead('+1 day', 'P1D'), ahead('+2 days', 'P2D')]}
    </p>
  </section>`;
}

function faults(world: World): Html {
  const active = world.faults.list();
  const clear = html`<button type="button" data-path="/_sim/faults" data-method="DELETE">clear</button>`;
  return html`<section>
    <h2>Faults <small>${active.length}</small> ${active.length > 0 ? clear : null}</h2>
    <ul>
      ${active.map(
        ({ fault_id, kind, match, left }) =>
          html`<li>${fault_id}: ${kind} at ${JSON.stringify(match)}, ${left ?? 'without end'} left</li>`,
      )}
    </ul>
  </section>`;
}

function violations(world: World): Html {
  const passed = world.limits.violations();
  return html`<section>
    <h2>Limits passed <small>${passed.reduce((sum, { count }) => sum + count, 0)}</small></h2>
    <ul>
      ${passed
        .slice(-SHOWN_VIOLATIONS)
        .map(
          ({ path, code, count, limit, item_id }) =>
            html`<li>
              ${path} ${code} × ${count} (limit ${limit})${item_id === null ? '' : ` ${item_id}`}
            </li>`,
        )}
    </ul>
  </section>`;
}

function pager(page: number, pages: number, search: string): Html | null {
  if (pages === 1) return null;
  const link = (to: number, label: string) =>
    to < 1 || to > pages
      ? html`<span>${label}</span>`
      : html`<a href="/_sim?page=${to}&q=${encodeURIComponent(search)}">${label}</a>`;
  return html`<nav>${link(page - 1, '‹ newer')} ${page} of ${pages} ${link(page + 1, 'older ›')}</nav>`;
}

function itemRow(world: World, item: Item): Html {
  const { facts } = item;
  const path = (control: string) => `/_sim/items/${item.id}/${control}`;
  const removed = facts.removedAt !== null;
  const state = removed ? 'removed' : (facts.failure?.code ?? facts.status);
  const kind = removed ? 'gone' : facts.failure ? 'bad' : facts.status === 'NOT_READY' ? 'waiting' : 'good';
  const controls = removed
    ? []
    : facts.failure
      ? [button('repair', path('repair'), { webhook: true })]
      : [
          facts.initialAt !== null && facts.status !== 'HISTORICAL_UPDATE_COMPLETE'
            ? button('finish pulls', path('advance'), { to: 'historical' })
            : button('notify', path('transactions'), { notify: true }),
          button('break login', path('break'), {}),
        ];
  return html`<tr class="${kind}">
    <td title="${item.id}"><code>${item.id.slice(0, 12)}…</code></td>
    <td>${institutionName(world, facts.institutionId)}</td>
    <td class="wide">${facts.username}</td>
    <td class="wide">${applications(world, item)}</td>
    <td>${facts.exchanged ? facts.phase : 'not exchanged'}</td>
    <td><b>${state}</b></td>
    <td class="number">${item.log.delta(0, null).length} / ${item.bank.size}</td>
    <td>${facts.lastWebhook ? `${facts.lastWebhook.code} ${time(facts.lastWebhook.sentAt)}` : '–'}</td>
    <td>${controls}</td>
  </tr>`;
}

/** The client ids that are connected with the login of an Item, its own first, where there is more than one. */
function applications(world: World, item: Item): Html[] {
  const own = item.facts.application?.id;
  const connected = world.connections.connected(item);
  const ids = connected.flatMap(({ facts }) => facts.application?.id ?? []);
  const others = [...new Set(ids)].filter((id) => id !== own);
  if (own === undefined || others.length === 0 || !connected.includes(item)) return [];
  return [html`<b>${own}</b>`, ...others.map((id) => html`, ${id}`)];
}

function time(at: number): string {
  return instant(at).slice(5, 19).replace('T', ' ');
}

const STATES: Record<string, string> = { delivered: 'good', failed: 'bad', dropped: 'gone' };

function webhooks(world: World): Html {
  const all = world.deliveries.list();
  return html`<section>
    <h2>Webhooks <small>${all.length}, the newest first</small></h2>
    <table>
      <thead>
        <tr>
          ${['Webhook', 'Code', 'Item', 'To', 'State', 'Attempts', 'Answers'].map(heading)}
        </tr>
      </thead>
      <tbody>
        ${all.slice(-SHOWN_WEBHOOKS).reverse().map(webhookRow)}
      </tbody>
    </table>
  </section>`;
}

function webhookRow(delivery: Delivery): Html {
  const answers = delivery.attempts.map(({ status, error }) => status ?? error ?? 'no answer').join(', ');
  const last = delivery.attempts.at(-1)?.at.slice(5, 19).replace('T', ' ') ?? '';
  return html`<tr class="${STATES[delivery.state] ?? 'waiting'}">
    <td><code>${delivery.id}</code></td>
    <td>${delivery.webhookType} <b>${delivery.webhookCode}</b></td>
    <td title="${delivery.itemId}"><code>${delivery.itemId?.slice(0, 12) ?? ''}</code></td>
    <td class="wide">${delivery.url}</td>
    <td><b>${delivery.state}</b> ${last}</td>
    <td class="number">${delivery.attempts.length}</td>
    <td class="wide">${answers}</td>
  </tr>`;
}
