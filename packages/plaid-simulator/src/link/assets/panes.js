import { accountChoice, field, form, h, logo, ticked } from './dom.js';

/** What a user is told about an error: never the API's own words, which are for developers. */
const WORDS = {
  INVALID_CREDENTIALS: ['', 'That username or password is not right. Check both and try again.'],
  INVALID_UPDATED_USERNAME: ['', 'Sign in with the same username as when you connected this account.'],
  INVALID_MFA: ['', 'That answer is not right. Try again.'],
  ITEM_LOCKED: ['Your account is locked', 'Unlock it on your bank’s website, then come back and try again.'],
  PASSWORD_RESET_REQUIRED: [
    'Your bank wants a new password',
    'Reset it on your bank’s website, then try again.',
  ],
  USER_SETUP_REQUIRED: [
    'Your bank needs something from you',
    'Finish setting up online banking there, then try again.',
  ],
  USER_INPUT_TIMEOUT: ['That took too long', 'Your bank ended the sign-in. You can start it again.'],
  INSUFFICIENT_CREDENTIALS: [
    'Not connected',
    'Your bank tells us that access was not allowed. You can try again.',
  ],
  MFA_NOT_SUPPORTED: [
    'This sign-in is not supported',
    'Your bank asks for a kind of confirmation that does not work here.',
  ],
  ITEM_NOT_SUPPORTED: ['This account is not supported', 'You can connect a different account instead.'],
  NO_ACCOUNTS: ['No accounts to connect', 'None of your accounts at this bank can be used here.'],
  PRODUCTS_NOT_SUPPORTED: ['This bank cannot be used here', 'It does not offer what the application needs.'],
  INSTITUTION_NO_LONGER_SUPPORTED: [
    'This bank is no longer supported',
    'You can connect an account at a different bank.',
  ],
  INVALID_LINK_TOKEN: ['This link has expired', 'Go back to the application and start again.'],
  ITEM_NOT_FOUND: ['This connection is gone', 'Go back to the application and connect your account anew.'],
};
const BANK_TROUBLE = [
  'Your bank is not answering',
  'This is on their side. Try again later, or choose a different bank.',
];
const TROUBLE = ['Something went wrong', 'Nothing was connected. You can try again.'];

const wordsFor = (error) =>
  WORDS[error.error_code] ?? (error.error_type === 'INSTITUTION_ERROR' ? BANK_TROUBLE : TROUBLE);

const title = (text) => h('h1', { tabindex: '-1' }, text);
const lead = (text) => h('p', { class: 'lead' }, text);
const submit = (text, properties = {}) =>
  h('button', { type: 'submit', class: 'primary', ...properties }, text);
const quiet = (text, onclick) => h('button', { type: 'button', class: 'quiet', onclick }, text);

/** The line at the top: back, the bank, close. */
function top(view, api) {
  return h(
    'header',
    { class: 'top' },
    view.can_go_back
      ? h('button', {
          type: 'button',
          class: 'icon back',
          'aria-label': 'Back',
          onclick: () => api.act({ action: 'back' }),
        })
      : h('span', { class: 'icon' }),
    h('span', { class: 'top-name' }, view.institution?.name ?? ''),
    h('button', { type: 'button', class: 'icon close', 'aria-label': 'Close', onclick: () => api.leave() }),
  );
}

function alertOf(view) {
  if (!view.error) return null;
  const [, text] = wordsFor(view.error);
  const words = view.error.error_code === 'INVALID_FIELD' ? view.error.error_message : text;
  return h('p', { class: 'alert', role: 'alert', id: 'alert' }, words);
}

const consent = {
  render: (view, api) => [
    top(view, api),
    form(
      () => api.act({ action: 'continue' }),
      h('div', { class: 'mark', 'aria-hidden': 'true' }, h('i'), h('i'), h('i')),
      title(`Connect your bank to ${view.client_name || 'this application'}`),
      h(
        'ul',
        { class: 'points' },
        h('li', {}, h('strong', {}, 'You choose. '), 'Only the accounts that you pick are shared.'),
        h('li', {}, h('strong', {}, 'Your password stays here. '), 'The application never sees it.'),
        h('li', {}, h('strong', {}, 'You can end it. '), 'Access can be taken back at any time.'),
      ),
      h('div', { class: 'actions' }, submit('Continue', { 'data-focus': true })),
    ),
  ],
};

function institutionRow(institution, api) {
  return h(
    'li',
    {},
    h(
      'button',
      {
        type: 'button',
        class: 'row',
        'data-institution': institution.institution_id,
        onclick: () => api.act({ action: 'institution', institution_id: institution.institution_id }),
      },
      logo(institution),
      h(
        'span',
        { class: 'choice-text' },
        h('strong', {}, institution.name),
        h('small', {}, institution.url ? new URL(institution.url).host : ''),
      ),
      institution.health === 'HEALTHY'
        ? null
        : h('span', { class: 'badge' }, institution.health === 'DOWN' ? 'Not available' : 'Slow today'),
    ),
  );
}

const institutions = {
  render: (view, api) => {
    let pause;
    return [
      top(view, api),
      form(
        () => undefined,
        title('Choose your bank'),
        h(
          'div',
          { class: 'field' },
          h('label', { for: 'search' }, 'Search'),
          h('input', {
            id: 'search',
            type: 'search',
            'data-focus': true,
            autocomplete: 'off',
            placeholder: 'Name of your bank',
            'aria-controls': 'banks',
            oninput: (event) => {
              const text = event.currentTarget.value;
              window.clearTimeout(pause);
              pause = window.setTimeout(() => api.search(text), 180);
            },
          }),
        ),
        h('p', { class: 'found', id: 'found', role: 'status' }),
        h('ul', { class: 'list', id: 'banks' }, ...view.institutions.map((one) => institutionRow(one, api))),
      ),
    ];
  },
  update: (card, view, api) => {
    card.querySelector('#banks').replaceChildren(...view.institutions.map((one) => institutionRow(one, api)));
    card.querySelector('#found').textContent =
      view.institutions.length === 0 ? `No bank found for “${view.query}”.` : '';
  },
};

const HINTS = [
  ['user_good', 'pass_good', 'works'],
  ['user_good', 'mfa_device', 'asks for a code, 1234'],
  ['user_good', 'mfa_selections', 'asks a question, Yes'],
  ['user_good', 'error_ITEM_LOCKED', 'any error'],
];

const hints = () =>
  h(
    'details',
    { class: 'hints' },
    h('summary', {}, 'Simulator: test sign-ins'),
    h(
      'dl',
      {},
      ...HINTS.flatMap(([user, password, does]) => [h('dt', {}, `${user} / ${password}`), h('dd', {}, does)]),
    ),
  );

const credentials = {
  render: (view, api) => {
    const described = view.error ? { 'aria-invalid': 'true', 'aria-describedby': 'alert' } : {};
    return [
      top(view, api),
      form(
        (element) =>
          api.act({
            action: 'credentials',
            username: element.elements.username.value,
            password: element.elements.password.value,
          }),
        logo(view.institution, 'large'),
        title(
          view.update_mode
            ? `Sign in to ${view.institution.name} again`
            : `Sign in to ${view.institution.name}`,
        ),
        view.update_mode ? lead('The connection has to be confirmed. Your accounts stay as they are.') : null,
        alertOf(view),
        field('username', 'Username', { autocomplete: 'username', 'data-focus': true, ...described }),
        field('password', 'Password', { type: 'password', autocomplete: 'current-password', ...described }),
        h('div', { class: 'actions' }, submit('Sign in')),
        hints(),
      ),
    ];
  },
};

const oauth = {
  render: (view, api) => [
    top(view, api),
    form(
      () => api.visitBank(),
      logo(view.institution, 'large'),
      title(`Continue at ${view.institution.name}`),
      lead(
        view.oauth && view.oauth_in_window
          ? 'Finish in the window of your bank. This page goes on by itself.'
          : 'You sign in on your bank’s own page and choose there which accounts to share.',
      ),
      h(
        'div',
        { class: 'actions' },
        submit(view.oauth && view.oauth_in_window ? 'Open the window again' : 'Go to my bank', {
          'data-focus': true,
        }),
      ),
    ),
  ],
};

const MFA_TITLES = {
  device: 'Confirm that it is you',
  code: 'Enter the code',
  questions: 'Answer your security questions',
  selections: 'Confirm that it is you',
};

function prompt({ text, options }, index, isCode) {
  const name = `answer-${index}`;
  if (options === null) {
    return field(name, text, {
      autocomplete: isCode ? 'one-time-code' : 'off',
      ...(isCode ? { inputmode: 'numeric', class: 'code' } : {}),
      ...(index === 0 ? { 'data-focus': true } : {}),
    });
  }
  return h(
    'fieldset',
    {},
    h('legend', {}, text),
    ...options.map((option, at) =>
      h(
        'label',
        { class: 'choice' },
        h('input', {
          type: 'radio',
          name,
          value: option,
          required: true,
          ...(index === 0 && at === 0 ? { 'data-focus': true } : {}),
        }),
        h('span', { class: 'choice-text' }, h('strong', {}, option)),
      ),
    ),
  );
}

const mfa = {
  render: (view, api) => [
    top(view, api),
    form(
      (element) =>
        api.act({
          action: 'mfa',
          answers: view.mfa.prompts.map((_, index) => new FormData(element).get(`answer-${index}`) ?? ''),
        }),
      logo(view.institution, 'large'),
      title(MFA_TITLES[view.mfa.type]),
      view.mfa.type === 'code' ? lead('Your bank has sent you a code. Here it is always 1234.') : null,
      alertOf(view),
      ...view.mfa.prompts.map((one, index) => prompt(one, index, view.mfa.type === 'code')),
      h('div', { class: 'actions' }, submit('Continue')),
    ),
  ],
};

const accounts = {
  render: (view, api) => {
    const only = view.accounts.length === 1;
    const button = submit('Connect', { disabled: !only && !view.accounts.some(({ shared }) => shared) });
    return [
      top(view, api),
      form(
        (element) => api.act({ action: 'accounts', account_ids: ticked(element, 'account') }),
        title('Choose what to share'),
        lead(`${view.client_name || 'The application'} will see these accounts and their transactions.`),
        h(
          'fieldset',
          {
            onchange: (event) => {
              button.disabled = ticked(event.currentTarget, 'account').length === 0;
            },
          },
          h('legend', { class: 'hidden' }, 'Accounts'),
          ...view.accounts.map((account) => accountChoice(account, only || account.shared)),
        ),
        h('div', { class: 'actions' }, button),
      ),
    ];
  },
};

const connected = {
  render: (view, api) => [
    top(view, api),
    form(
      () => api.act({ action: 'continue' }),
      h('div', { class: 'tick', 'aria-hidden': 'true' }),
      title(view.update_mode ? 'All set again' : 'You are connected'),
      lead(
        view.update_mode
          ? `Your connection to ${view.institution.name} works again.`
          : `Your accounts at ${view.institution.name} are connected to ${view.client_name || 'the application'}.`,
      ),
      h('div', { class: 'actions' }, submit('Done', { 'data-focus': true })),
    ),
  ],
};

const error = {
  render: (view, api) => {
    const [heading, text] = wordsFor(view.error);
    return [
      top(view, api),
      form(
        () => (view.can_retry ? api.act({ action: 'retry' }) : api.leave(true)),
        h('div', { class: 'tick warn', 'aria-hidden': 'true' }),
        title(heading || TROUBLE[0]),
        lead(text),
        h('p', { class: 'code-line' }, view.error.error_code),
        h(
          'div',
          { class: 'actions' },
          submit(view.can_retry ? 'Try again' : 'Close', { 'data-focus': true }),
          view.can_retry ? quiet('Leave', () => api.leave(true)) : null,
        ),
      ),
    ];
  },
};

const exit = {
  render: (view, api) => [
    form(
      () => api.act({ action: 'stay' }),
      title('Leave without connecting?'),
      lead('Nothing has been shared so far. What you have entered is lost.'),
      h(
        'div',
        { class: 'actions' },
        submit('Stay', { 'data-focus': true }),
        quiet('Leave', () => api.leave(true)),
      ),
    ),
  ],
};

const done = {
  render: (view) => [
    h(
      'div',
      { class: 'body' },
      h('div', { class: `tick${view.success ? '' : ' warn'}`, 'aria-hidden': 'true' }),
      title(view.success ? 'Finished' : 'Nothing was connected'),
      lead('You can close this page and go back to the application.'),
    ),
  ],
};

/** What each step of a session looks like. */
export const PANES = {
  consent,
  institutions,
  credentials,
  oauth,
  mfa,
  accounts,
  connected,
  error,
  exit,
  done,
};
