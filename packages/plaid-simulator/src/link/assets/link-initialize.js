/**
 * `Plaid.create`, as Plaid's own script offers it: Link in a frame over the page. The frame is of the origin that this script
 * came from; messages of any other window or origin are not heard.
 */
(() => {
  'use strict';
  const LINK_ORIGIN = new URL(document.currentScript.src).origin;
  const CHANNEL = 'sluice-link';

  const callback = (name, given) => {
    if (given === undefined || given === null) return () => undefined;
    if (typeof given !== 'function') throw new TypeError(`Plaid.create: ${name} must be a function`);
    return given;
  };

  /** A dialog keeps focus and keyboard inside Link while it is open. Styles by script: a page's policy may forbid attributes. */
  function overlay() {
    const dialog = document.createElement('dialog');
    dialog.setAttribute('aria-label', 'Connect your account');
    Object.assign(dialog.style, {
      position: 'fixed',
      inset: '0',
      width: '100%',
      height: '100%',
      maxWidth: 'none',
      maxHeight: 'none',
      margin: '0',
      padding: '0',
      border: '0',
      background: 'transparent',
      overflow: 'hidden',
    });
    return dialog;
  }

  function create(config) {
    const { token, receivedRedirectUri } = config ?? {};
    if (typeof token !== 'string' || token === '') {
      throw new Error('Plaid.create: a link token is needed: Plaid.create({ token })');
    }
    const onSuccess = callback('onSuccess', config.onSuccess);
    const onExit = callback('onExit', config.onExit);
    const onEvent = callback('onEvent', config.onEvent);
    const onLoad = callback('onLoad', config.onLoad);
    if (config.onSuccess === undefined) throw new TypeError('Plaid.create: onSuccess is needed');

    let dialog = null;
    let frame = null;
    let ready = false;
    let loaded = false;
    let wanted = false;
    let opened = false;
    let destroyed = false;
    let afterExit = null;

    const say = (message) => frame?.contentWindow?.postMessage({ channel: CHANNEL, ...message }, LINK_ORIGIN);

    function mount() {
      ready = false;
      opened = false;
      dialog = overlay();
      frame = document.createElement('iframe');
      frame.title = 'Connect your account';
      Object.assign(frame.style, { display: 'block', width: '100%', height: '100%', border: '0' });
      const address = new URL('/link', LINK_ORIGIN);
      address.searchParams.set('token', token);
      address.searchParams.set('origin', window.location.origin);
      frame.src = address.href;
      dialog.append(frame);
      dialog.addEventListener('cancel', (event) => {
        event.preventDefault();
        say({ type: 'exit', force: false });
      });
      document.body.append(dialog);
    }

    function unmount() {
      if (dialog?.open) dialog.close();
      dialog?.remove();
      dialog = null;
      frame = null;
    }

    function show() {
      if (!ready || !wanted || opened) return;
      opened = true;
      dialog.showModal();
      frame.focus();
      say({ type: 'open', receivedRedirectUri: receivedRedirectUri ?? null });
    }

    /** The session is over: the page gets the focus back before it is told. */
    function finish(callBack) {
      unmount();
      wanted = false;
      const after = afterExit;
      afterExit = null;
      callBack();
      after?.();
    }

    function hear(event) {
      if (destroyed || event.origin !== LINK_ORIGIN || !frame || event.source !== frame.contentWindow) return;
      const message = event.data;
      if (message?.channel !== CHANNEL) return;
      switch (message.type) {
        case 'ready':
          ready = true;
          if (!loaded) {
            loaded = true;
            onLoad();
          }
          show();
          break;
        case 'event':
          onEvent(message.name, message.metadata);
          break;
        case 'success':
          finish(() => onSuccess(message.public_token, message.metadata));
          break;
        case 'exit':
          finish(() => onExit(message.error, message.metadata));
          break;
        case 'leave':
          // To the bank, which is a page of the simulator; it sends the user back to the token's redirect URI.
          window.location.assign(new URL(message.path, LINK_ORIGIN).href);
          break;
      }
    }

    const whenBody = (work) =>
      document.body ? work() : document.addEventListener('DOMContentLoaded', work, { once: true });
    window.addEventListener('message', hear);
    whenBody(() => {
      if (!destroyed) mount();
    });

    return {
      open() {
        if (destroyed) throw new Error('Plaid.create: this handler was destroyed');
        wanted = true;
        whenBody(() => {
          if (destroyed) return;
          if (!dialog) mount();
          show();
        });
      },
      exit(options, done) {
        const after = typeof options === 'function' ? options : done;
        if (!opened || !dialog) {
          wanted = false;
          after?.();
          return;
        }
        afterExit = after ?? null;
        say({ type: 'exit', force: Boolean(options?.force) });
      },
      destroy() {
        destroyed = true;
        window.removeEventListener('message', hear);
        unmount();
      },
    };
  }

  window.Plaid = { ...window.Plaid, create };
})();
