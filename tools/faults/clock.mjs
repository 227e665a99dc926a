import { readFileSync } from 'node:fs';

/**
 * Loaded into a process before everything else (`--import clock.mjs?offset=FILE`): its clock is off by as many milliseconds as the file says,
 * and jumps when the file changes. Timers go on by the clock that never jumps, as they do when NTP sets the time; what is not JavaScript keeps
 * the machine's time.
 */
const file = new URL(import.meta.url).searchParams.get('offset') ?? '';
const everyMs = 100;
const RealDate = Date;
let offset = 0;

function readOffset() {
  try {
    offset = Number(readFileSync(file, 'utf8')) || 0;
  } catch {
    offset = 0;
  }
}

const now = () => RealDate.now() + offset;

readOffset();
setInterval(readOffset, everyMs).unref();
globalThis.Date = new Proxy(RealDate, {
  apply: () => new RealDate(now()).toString(),
  construct: (target, given, newTarget) =>
    Reflect.construct(target, given.length === 0 ? [now()] : given, newTarget),
  get: (target, name) => (name === 'now' ? now : Reflect.get(target, name)),
});
