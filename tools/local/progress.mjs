/**
 * Says that a long step runs, and again every few seconds for as long as it does: a silent minute looks like a hang.
 * @template T
 * @param {string} title
 * @param {(detail: (text: string) => void) => Promise<T>} work `detail` sets what the next line adds
 * @param {{ everyMs?: number, write?: (line: string) => void }} [options]
 * @returns {Promise<T>}
 */
export async function showProgress(title, work, options = {}) {
  const write = options.write ?? say;
  const started = Date.now();
  const seconds = () => Math.round((Date.now() - started) / 1000);
  let detail = '';
  write(`${title} …`);
  const timer = setInterval(
    () => write(`${title} … ${seconds()} s${detail && `, ${detail}`}`),
    options.everyMs ?? 10_000,
  );
  try {
    const result = await work((text) => {
      detail = text;
    });
    write(`${title}: done in ${seconds()} s`);
    return result;
  } finally {
    clearInterval(timer);
  }
}

/** @param {string} line */
export function say(line) {
  process.stderr.write(`sluice: ${line}\n`);
}
