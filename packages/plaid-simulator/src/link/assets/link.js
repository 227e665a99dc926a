import { ask, h, paint } from './dom.js';
import { PANES } from './panes.js';

const CHANNEL = 'sluice-link';
const CHECK_MS = 700;

const query = new URLSearchParams(window.location.search);
const token = query.get('token') ?? '';
/** The origin of the page that Link is in; the policy of this page lets no other frame it. `null`: a page of its own. */
const host = window.parent === window ? null : query.get('origin');
const card = document.getElementById('card');

let view = null;
let busy = false;
let watching = null;

const postToHost = (message) => {
  if (host !== null) window.parent.postMessage({ channel: CHANNEL, ...message }, host);
};

/** Passes on what happened, each event once: answers may cross on their way. */
let passedUpTo = null;
function passEvents({ events, heard }) {
  const first = heard - events.length;
  passedUpTo ??= first;
  for (const event of events.slice(Math.max(0, passedUpTo - first))) postToHost({ type: 'event', ...event });
  passedUpTo = Math.max(passedUpTo, heard);
}

/** Shows where the session stands. */
function accept(next) {
  view = next;
  passEvents(next);
  if (next.success) postToHost({ type: 'success', ...next.success });
  if (next.exit) postToHost({ type: 'exit', ...next.exit });
  if (next.pane === 'done') {
    stopWatching();
    if (host !== null) return;
    if (next.completion_redirect_uri) {
      window.location.assign(next.completion_redirect_uri);
      return;
    }
  }
  render();
}

async function call(work) {
  if (busy) return;
  busy = true;
  card.setAttribute('aria-busy', 'true');
  for (const button of card.querySelectorAll('button[type="submit"]')) button.disabled = true;
  try {
    accept(await work());
  } catch (error) {
    showFailure(error.message);
  } finally {
    busy = false;
    card.removeAttribute('aria-busy');
  }
}

const act = (does) => call(() => request(does));
const request = (does) =>
  ask('/link/session/act', {
    session_id: view.session_id,
    link_token: token,
    heard: view.heard,
    does,
  });

const open = (receivedRedirectUri) =>
  call(() =>
    ask('/link/session/open', {
      link_token: token,
      surface: host === null ? 'hosted' : 'embedded',
      received_redirect_uri: receivedRedirectUri,
    }),
  );

/** The list follows what is typed; an answer that a later letter has overtaken is dropped. */
let searches = 0;
async function search(text) {
  const mine = (searches += 1);
  try {
    const next = await request({ action: 'search', query: text });
    if (mine !== searches || view.pane !== 'institutions') return;
    view = { ...next, query: text };
    passEvents(next);
    PANES.institutions.update(card, view, api);
  } catch (error) {
    showFailure(error.message);
  }
}

/** To the bank: in this tab, by the page that Link is in, or in a window of its own. */
async function visitBank() {
  const bankWindow =
    view.pane === 'oauth' && view.oauth_in_window
      ? window.open('', 'sluice-bank', 'width=480,height=760')
      : null;
  await act({ action: 'oauth_open' });
  if (!view.oauth) {
    bankWindow?.close();
    return;
  }
  if (!view.oauth_in_window) {
    if (host === null) window.location.assign(view.oauth.url);
    else postToHost({ type: 'leave', path: view.oauth.url });
    return;
  }
  if (bankWindow) bankWindow.location.replace(view.oauth.url);
  watch(bankWindow);
}

/** While the bank has a window of its own: is the user done there? */
function watch(bankWindow) {
  stopWatching();
  watching = window.setInterval(() => {
    if (busy || view.pane !== 'oauth') return;
    const closed = bankWindow === null || bankWindow.closed;
    call(async () => {
      const next = await request({ action: closed && bankWindow ? 'oauth_closed' : 'oauth_check' });
      if (next.pane !== 'oauth' || !next.oauth) {
        stopWatching();
        bankWindow?.close();
      }
      return next;
    });
  }, CHECK_MS);
}

function stopWatching() {
  if (watching !== null) window.clearInterval(watching);
  watching = null;
}

const leave = (force = false) => {
  if (!view || view.pane === 'done') return;
  act({ action: 'exit', force });
};

const api = { act, search, visitBank, leave };

let shown = '';
function render() {
  // A pane that has not changed keeps its form: a check in the background must not take away what is being typed.
  const state = JSON.stringify({ ...view, heard: 0, events: [] });
  if (state === shown && !view.error) return;
  shown = state;
  paint(card, view.institution);
  card.dataset.pane = view.pane;
  card.replaceChildren(...PANES[view.pane].render(view, api));
  document.title = card.querySelector('h1')?.textContent ?? 'Connect your account';
  (card.querySelector('[data-focus]') ?? card.querySelector('h1'))?.focus();
}

function showFailure(message) {
  const alert = h('p', { class: 'alert', role: 'alert' }, message);
  card.querySelector('.alert')?.remove();
  card.append(alert);
  for (const button of card.querySelectorAll('button[type="submit"]')) button.disabled = false;
}

document.addEventListener('keydown', (event) => {
  if (event.key === 'Escape') leave();
});

if (host === null) {
  document.body.classList.add('hosted');
  open(query.has('oauth_state_id') ? window.location.href : null);
} else {
  window.addEventListener('message', (event) => {
    if (event.source !== window.parent || event.origin !== host) return;
    if (event.data?.channel !== CHANNEL) return;
    if (event.data.type === 'open') open(event.data.receivedRedirectUri);
    if (event.data.type === 'exit') leave(event.data.force);
  });
  postToHost({ type: 'ready' });
}
