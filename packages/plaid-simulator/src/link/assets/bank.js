import { accountChoice, ask, field, form, h, logo, paint, ticked } from './dom.js';

const state = new URLSearchParams(window.location.search).get('state') ?? '';
const card = document.getElementById('card');
const header = document.getElementById('bank-header');

const heading = (text) => h('h1', { tabindex: '-1' }, text);

const deny = () =>
  h(
    'button',
    { type: 'button', class: 'quiet', onclick: () => go('/link/oauth/decide', { account_ids: null }) },
    'Do not allow',
  );

const STEPS = {
  open: (view) =>
    form(
      (element) =>
        go('/link/oauth/sign-in', {
          username: element.elements.username.value,
          password: element.elements.password.value,
        }),
      heading('Sign in to online banking'),
      view.error ? h('p', { class: 'alert', role: 'alert', id: 'alert' }, view.error) : null,
      field('username', 'Username', { autocomplete: 'username', 'data-focus': true }),
      field('password', 'Password', { type: 'password', autocomplete: 'current-password' }),
      h('div', { class: 'actions' }, h('button', { type: 'submit', class: 'primary' }, 'Sign in'), deny()),
      h('p', { class: 'code-line' }, 'Simulator: user_good / pass_good'),
    ),
  signed_in: (view) =>
    form(
      (element) => go('/link/oauth/decide', { account_ids: ticked(element, 'account') }),
      heading(`Share with ${view.client_name}?`),
      h('p', { class: 'lead' }, 'Choose the accounts whose details and transactions may be read.'),
      h(
        'fieldset',
        {},
        h('legend', { class: 'hidden' }, 'Accounts'),
        ...view.accounts.map((account) => accountChoice(account, account.shared)),
      ),
      h(
        'div',
        { class: 'actions' },
        h('button', { type: 'submit', class: 'primary', 'data-focus': true }, 'Allow access'),
        deny(),
      ),
    ),
  done: () =>
    h(
      'div',
      { class: 'body' },
      heading('You can close this window'),
      h('p', { class: 'lead' }, 'Go back to the application.'),
    ),
};

function render(view) {
  paint(document.body, view.institution);
  header.replaceChildren(logo(view.institution), h('strong', {}, view.institution.name));
  card.replaceChildren(STEPS[view.step](view));
  (card.querySelector('[data-focus]') ?? card.querySelector('h1'))?.focus();
  document.title = view.institution.name;
  if (view.step !== 'done') return;
  if (view.return_to) window.location.assign(view.return_to);
  else window.close();
}

async function go(path, body) {
  card.setAttribute('aria-busy', 'true');
  try {
    render(await ask(path, { state, ...body }));
  } catch (error) {
    card.querySelector('.alert')?.remove();
    card.append(h('p', { class: 'alert', role: 'alert' }, error.message));
  } finally {
    card.removeAttribute('aria-busy');
  }
}

go('/link/oauth/view', {});
