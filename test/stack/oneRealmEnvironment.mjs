/** What jest's own parts leave on the global object, beside functions that the next test file overwrites. */
const LEFT_BEHIND = new Set(['EVENT_HANDLERS', 'JEST_STATE_SYMBOL']);

/**
 * Test files run in Node's own realm, not in one of their own: a foreign realm has other `Error`s than the packages have that Node has
 * loaded, and looks each global name up by way of an interceptor. What a file changes of the process is put back behind it.
 */
export default class OneRealmEnvironment {
  global = globalThis;
  // jest asks for them; no test has them.
  moduleMocker = {};
  fakeTimers = null;
  fakeTimersModern = null;
  #console = globalThis.console;
  #exit = process.exit;
  #env = { ...process.env };

  constructor() {
    forgetState();
  }

  async setup() {}

  async teardown() {
    globalThis.console = this.#console;
    process.exit = this.#exit;
    for (const name of Object.keys(process.env)) if (!(name in this.#env)) delete process.env[name];
    Object.assign(process.env, this.#env);
    forgetState();
  }

  exportConditions() {
    return ['node', 'node-addons'];
  }

  getVmContext() {
    return null;
  }
}

function forgetState() {
  for (const symbol of Object.getOwnPropertySymbols(globalThis))
    if (LEFT_BEHIND.has(symbol.description ?? '')) delete globalThis[symbol];
}
