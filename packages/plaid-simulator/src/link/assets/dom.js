/** Small helpers of both pages. Text only ever becomes text: nothing here, or anywhere in Link, writes HTML. */

/** An element; `on…` properties are listeners, others attributes (`null`, `undefined` and `false` leave them out). */
export function h(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith('on')) element.addEventListener(name.slice(2), value);
    else if (name === 'value') element.value = value;
    else element.setAttribute(name, value === true ? '' : String(value));
  }
  element.append(...children.flat().filter((child) => child !== null && child !== undefined));
  return element;
}

/** Asks the simulator; throws with its sentence. */
export async function ask(path, body) {
  const response = await fetch(path, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(body),
  });
  const answer = await response.json();
  if (!response.ok) throw new Error(answer.error ?? answer.error_message ?? 'The simulator refused.');
  return answer;
}

const COLOR = /^#[0-9a-f]{6}$/i;

/** An institution's logo with its initials, in its colour. */
export function logo(institution, size = '') {
  const initials = institution.name
    .split(/\s+/)
    .filter((word) => /^[A-Z]/.test(word))
    .slice(0, 2)
    .map((word) => word[0])
    .join('');
  const box = h('span', { class: `logo ${size}`, 'aria-hidden': 'true' });
  if (institution.logo) box.append(h('img', { src: `data:image/png;base64,${institution.logo}`, alt: '' }));
  box.append(h('b', {}, initials));
  return box;
}

/** The colour of a page that speaks for an institution. */
export function paint(element, institution) {
  const color = institution?.primary_color ?? '';
  if (COLOR.test(color)) element.style.setProperty('--bank', color);
}

/** A form that asks nobody but `onsubmit`, which gets the form. */
export function form(onsubmit, ...children) {
  return h(
    'form',
    {
      class: 'body',
      onsubmit: (event) => {
        event.preventDefault();
        onsubmit(event.currentTarget);
      },
    },
    ...children,
  );
}

/** A labelled field. */
export function field(name, label, properties = {}) {
  const id = `field-${name}`;
  return h(
    'div',
    { class: 'field' },
    h('label', { for: id }, label),
    h('input', { id, name, required: true, autocapitalize: 'none', spellcheck: 'false', ...properties }),
  );
}

/** An account to tick. */
export function accountChoice(account, checked) {
  const id = `account-${account.id}`;
  const kind = [account.subtype ?? account.type, account.mask === null ? null : `•••• ${account.mask}`];
  return h(
    'label',
    { class: 'choice', for: id },
    h('input', {
      type: 'checkbox',
      id,
      name: 'account',
      value: account.id,
      ...(checked ? { checked: true } : {}),
    }),
    h(
      'span',
      { class: 'choice-text' },
      h('strong', {}, account.name),
      h('small', {}, kind.filter(Boolean).join(' ')),
    ),
    account.balance === null
      ? null
      : h('span', { class: 'amount' }, money(account.balance, account.currency)),
  );
}

function money(amount, currency) {
  try {
    return new Intl.NumberFormat('en', { style: 'currency', currency }).format(amount);
  } catch {
    return `${amount} ${currency ?? ''}`;
  }
}

/** The values of the ticked boxes of a form. */
export function ticked(form, name) {
  return [...form.querySelectorAll(`input[name="${name}"]:checked`)].map(({ value }) => value);
}
