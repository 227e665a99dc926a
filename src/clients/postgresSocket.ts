import { EventEmitter } from 'node:events';
import type { Socket } from 'node:net';
import type { SettingStatement } from '../../domain/databaseSession.js';
import { OwedAnswers } from './postgresFrames.js';
import { HostOrder } from './postgresHosts.js';
import { SessionStart } from './postgresSession.js';
import type { Endpoints } from './postgresWire.js';
import { coded, openWire, requestCancel } from './postgresWire.js';

/** After our good-bye the server closes; one that has vanished does not. */
const closeWithinMs = 2_000;
const checkEveryMs = 250;
/** A session that the driver leaves so soon is not of the kind that the URL asks for. */
const leftWithinMs = 1_000;

type Sent = (error?: Error | null) => void;

/** How a session of the pool begins. */
export interface SessionRules {
  settings: readonly SettingStatement[];
  readsOnly: boolean;
  /** Rejects where sessions behind a pooler are not what we rely on. */
  checkPooler(): Promise<void>;
}

/**
 * What postgres.js takes for the socket of one connection. It can be written to at once: what is written waits for the
 * connection. It never fails to be made, since the driver would lose the place in its pool for good: it fails afterwards.
 */
class WatchedSocket extends EventEmitter {
  private wire: Socket | null = null;
  private early: [Buffer, Sent | undefined][] = [];
  private readonly abandoned = new AbortController();
  private ended = false;
  private readonly answers = new OwedAnswers();
  private readonly session: SessionStart;
  private readonly start: number;
  /** The host that has taken the connection; until then the one that was asked first. */
  private host: number;
  private begunAt: number | null = null;

  constructor(
    private readonly endpoints: Endpoints,
    private readonly hosts: HostOrder,
    rules: SessionRules,
  ) {
    super();
    this.start = hosts.next();
    this.host = this.start;
    this.session = new SessionStart({
      ...rules,
      send: (bytes) => void this.write(bytes),
      pass: (bytes) => void (this.ended || this.emit('data', bytes)),
      begin: () => this.begun(),
      refuse: (failure) => this.finish(failure),
    });
    openWire(endpoints, this.start, this.abandoned.signal, (place) => this.taken(place)).then(
      (wire) => this.opened(wire),
      (error: Error) => this.finish(error),
    );
  }

  get readyState(): 'opening' | 'open' | 'closed' {
    if (this.ended) return 'closed';
    return this.wire === null ? 'opening' : 'open';
  }

  private opened(wire: Socket): void {
    if (this.ended) return void wire.destroy();
    this.wire = wire;
    wire.on('data', (bytes: Buffer) => {
      this.answers.heard(bytes, performance.now());
      this.session.heard(bytes);
    });
    wire.on('drain', () => this.emit('drain'));
    wire.on('error', (error) => this.finish(error));
    wire.on('close', () => this.finish(null));
    wire.resume();
    for (const [bytes, sent] of this.early.splice(0)) wire.write(bytes, sent);
  }

  private taken(host: number): void {
    if (host !== this.start) this.hosts.hasFailed(this.start);
    this.host = host;
  }

  private begun(): void {
    this.begunAt = performance.now();
    this.hosts.hasServed(this.host);
  }

  private finish(error: Error | null): void {
    if (this.ended) return;
    this.ended = true;
    if (this.begunAt === null) this.hosts.hasFailed(this.host);
    this.abandoned.abort(coded('ECONNRESET', 'the connection was given up'));
    this.wire?.destroy();
    // Later, as a socket would: who ends it is not ready to hear of the end yet.
    process.nextTick(() => {
      if (error !== null && this.listenerCount('error') > 0) this.emit('error', error);
      this.emit('close', error !== null);
    });
  }

  write(bytes: Buffer, sent?: Sent): boolean {
    this.answers.sent(bytes, performance.now());
    if (this.wire !== null) return this.wire.write(bytes, sent);
    this.early.push([Buffer.from(bytes), sent]);
    return true;
  }

  end(bytes: Buffer): void {
    const isLeft = this.begunAt !== null && performance.now() - this.begunAt < leftWithinMs;
    if (isLeft) this.hosts.hasFailed(this.host);
    this.wire?.end(bytes);
    setTimeout(() => this.finish(null), closeWithinMs).unref();
  }

  destroy(): void {
    this.finish(null);
  }

  pause(): void {
    this.wire?.pause();
  }

  resume(): void {
    this.wire?.resume();
  }

  /** Every wire keeps alive by itself. */
  setKeepAlive(): void {}

  silentFor(now: number): number {
    return this.ended ? 0 : this.answers.silentFor(now);
  }

  isIdle(): boolean {
    return this.answers.isIdle();
  }

  /** Gives the connection up for a reason that is no word of the server's, and lets the server know, if it still hears. */
  giveUp(): void {
    const { backendKey } = this.answers;
    const owed = !this.answers.isIdle();
    this.finish(coded('ETIMEDOUT', 'the database fell silent'));
    if (owed && backendKey !== null) void requestCancel(this.endpoints, this.host, backendKey);
  }
}

/**
 * Makes the sockets of one pool and watches them: a server that owes an answer and has not said a byte for `answerTimeoutMs`
 * is taken for gone. The connection is thrown away, and with it all that are idle, which lead to the same place.
 */
export function watchedSockets(
  endpoints: Endpoints,
  answerTimeoutMs: number,
  rules: SessionRules,
): () => WatchedSocket {
  const open = new Set<WatchedSocket>();
  const hosts = new HostOrder(Math.max(1, endpoints.hosts.length));
  let watch: NodeJS.Timeout | null = null;

  const silent = (): WatchedSocket[] => {
    const now = performance.now();
    return [...open].filter((socket) => socket.silentFor(now) > answerTimeoutMs);
  };

  function throwAway(): void {
    const gone = silent();
    if (gone.length === 0) return;
    for (const socket of gone) socket.giveUp();
    for (const socket of open) if (socket.isIdle()) socket.giveUp();
  }

  // A process that was busy for so long itself has not read yet what was said: it reads before the second check.
  const check = (): void => void (silent().length > 0 && setImmediate(throwAway));

  return () => {
    const socket = new WatchedSocket(endpoints, hosts, rules);
    open.add(socket);
    watch ??= setInterval(check, checkEveryMs).unref();
    socket.once('close', () => {
      open.delete(socket);
      if (open.size > 0 || watch === null) return;
      clearInterval(watch);
      watch = null;
    });
    return socket;
  };
}
