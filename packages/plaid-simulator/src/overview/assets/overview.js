// The overview refreshes itself by asking for the page again and taking its <main>; buttons call the controls that they name.
const REFRESH_MS = 2000;
const said = document.querySelector('#said');

async function refresh() {
  const answer = await fetch(location.href);
  const fresh = new DOMParser().parseFromString(await answer.text(), 'text/html').querySelector('main');
  if (fresh) document.querySelector('main')?.replaceWith(document.adoptNode(fresh));
}

async function press(button) {
  const { path, body, method } = button.dataset;
  const answer = await fetch(path, {
    method: method ?? 'POST',
    ...(body === undefined ? {} : { headers: { 'content-type': 'application/json' }, body }),
  });
  const text = await answer.text();
  said.textContent = `${button.textContent}: ${answer.ok ? 'done' : text}`;
  await refresh();
}

const showFailure = (error) => {
  said.textContent = `The simulator does not answer: ${error.message}`;
};

document.addEventListener('click', (event) => {
  const button = event.target.closest('button[data-path]');
  if (button) press(button).catch(showFailure);
});
setInterval(() => {
  if (!document.hidden) refresh().catch(showFailure);
}, REFRESH_MS);
