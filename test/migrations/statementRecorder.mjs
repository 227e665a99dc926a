// Plain JavaScript: jest loads a global setup natively, and Node 20 knows no TypeScript.
import { connect, createServer } from 'node:net';

/**
 * @typedef {object} Recorded
 * @property {string} sql
 * @property {number[]} types OIDs of the parameters, 0 where the client leaves it to the server
 */
/**
 * @typedef {object} Recorder
 * @property {number} port
 * @property {() => Recorded[]} statements each once, in the order of their texts
 * @property {() => Promise<void>} stop
 */

const STARTUP_VERSION = 196_608;
/** How the settings of a new session begin, which are no statements of the stores. */
const SESSION_START = 'SELECT pg_backend_pid(); SET ';

/** @param {Buffer} bytes @param {number} from @returns {[text: string, next: number]} */
function textAt(bytes, from) {
  const end = bytes.indexOf(0, from);
  return [bytes.toString('utf8', from, end), end + 1];
}

/** @param {Buffer} body of a Parse message: name, statement, types @returns {Recorded} */
function parsed(body) {
  const [, afterName] = textAt(body, 0);
  const [sql, afterSql] = textAt(body, afterName);
  const types = Array.from({ length: body.readInt16BE(afterSql) }, (_, index) =>
    body.readInt32BE(afterSql + 2 + index * 4),
  );
  return { sql, types };
}

/** @param {Buffer} body of a StartupMessage, behind its version */
function applicationOf(body) {
  let at = 0;
  while (at < body.length && body[at] !== 0) {
    const [name, afterName] = textAt(body, at);
    const [value, next] = textAt(body, afterName);
    if (name === 'application_name') return value;
    at = next;
  }
  return '';
}

/**
 * Stands between the clients and PostgreSQL, hands everything on, and notes which statements the clients of one name prepare
 * or send as they are.
 * @param {{ host: string, port: number, application: string }} options
 * @returns {Promise<Recorder>}
 */
export async function startRecorder({ host, port, application }) {
  /** @type {Map<string, Recorded>} */
  const seen = new Map();
  /** @type {Set<import('node:net').Socket>} */
  const sockets = new Set();
  /** @param {Recorded} statement */
  const note = (statement) => seen.set(JSON.stringify([statement.sql, statement.types]), statement);

  const server = createServer((client) => {
    const database = connect({ host, port, noDelay: true });
    client.setNoDelay(true);
    let started = false;
    let ours = false;
    let rest = Buffer.alloc(0);
    client.on('data', (chunk) => {
      database.write(chunk);
      rest = Buffer.concat([rest, chunk]);
      for (;;) {
        const head = started ? 1 : 0;
        if (rest.length < head + 4) return;
        const end = head + rest.readInt32BE(head);
        if (rest.length < end) return;
        const body = rest.subarray(head + 4, end);
        if (!started) {
          started = body.readInt32BE(0) === STARTUP_VERSION;
          ours = started && applicationOf(body.subarray(4)) === application;
        } else if (ours && rest[0] === 'P'.charCodeAt(0)) note(parsed(body));
        else if (ours && rest[0] === 'Q'.charCodeAt(0)) {
          const [sql] = textAt(body, 0);
          if (!sql.startsWith(SESSION_START)) note({ sql, types: [] });
        }
        rest = rest.subarray(end);
      }
    });
    database.pipe(client);
    for (const [one, other] of /** @type {const} */ ([
      [client, database],
      [database, client],
    ])) {
      sockets.add(one);
      one.on('error', () => other.destroy());
      one.on('close', () => {
        sockets.delete(one);
        other.end();
      });
    }
    client.on('end', () => database.end());
  });
  await new Promise((resolve) => server.listen(0, '127.0.0.1', () => resolve(undefined)));
  const address = /** @type {import('node:net').AddressInfo} */ (server.address());
  return {
    port: address.port,
    statements: () =>
      [...seen.values()].sort((one, other) => (one.sql < other.sql ? -1 : one.sql > other.sql ? 1 : 0)),
    async stop() {
      for (const socket of sockets) socket.destroy();
      await new Promise((resolve) => server.close(() => resolve(undefined)));
    },
  };
}
