import type { SettingStatement } from '../../domain/databaseSession.js';
import { Failure } from '../../domain/failures.js';

const type = (letter: string): number => letter.charCodeAt(0);
const [ready, parameter, keyData] = [type('Z'), type('S'), type('K')];
const [dataRow, complete, refusal] = [type('D'), type('C'), type('E')];
const headBytes = 5;

export interface SessionStartOptions {
  settings: readonly SettingStatement[];
  /** To the server. */
  send(bytes: Buffer): void;
  /** To the driver. */
  pass(bytes: Buffer): void;
  /** Rejects where sessions are not what we rely on. Called where somebody stands between us and the server. */
  checkPooler(): Promise<void>;
  /** The session cannot be used. */
  refuse(failure: Error): void;
}

function query(text: string): Buffer {
  const body = Buffer.from(`${text}\0`);
  const message = Buffer.alloc(headBytes);
  message[0] = type('Q');
  message.writeUInt32BE(4 + body.length, 1);
  return Buffer.concat([message, body]);
}

/** The first column of a row, as text. */
function firstColumn(frame: Buffer): string {
  const length = frame.readInt32BE(headBytes + 2);
  return frame.toString('utf8', headBytes + 6, headBytes + 6 + Math.max(0, length));
}

function sqlStateOf(frame: Buffer): string {
  const fields = frame.toString('utf8', headBytes).split('\0');
  return fields.find((field) => field.startsWith('C'))?.slice(1) ?? 'unknown';
}

/**
 * What happens on a new connection between the login and the driver's first query: our settings are made, as a statement each,
 * since poolers refuse them in the start-up message. The driver hears of neither: for it the login takes a little longer.
 */
export class SessionStart {
  private held: Buffer = Buffer.alloc(0);
  private state: 'login' | 'settings' | 'checking' | 'over' = 'login';
  /** The server's word that it is ready, kept from the driver until it is true for us too. */
  private readyFrame: Buffer = Buffer.alloc(0);
  private promisedProcess: number | null = null;
  private process: number | null = null;
  private made = 0;
  private refusedBy: string | null = null;

  constructor(private readonly options: SessionStartOptions) {}

  /** The server has sent `bytes`: they are passed on, or were answers to us. */
  heard(bytes: Buffer): void {
    if (this.state === 'over') return this.options.pass(bytes);
    this.held = this.held.length === 0 ? bytes : Buffer.concat([this.held, bytes]);
    while (this.inProgress() && this.held.length >= headBytes) {
      const length = 1 + this.held.readUInt32BE(1);
      if (this.held.length < length) return;
      const frame = this.held.subarray(0, length);
      this.held = this.held.subarray(length);
      if (this.state === 'login') this.duringLogin(frame);
      else this.duringSettings(frame);
    }
  }

  private inProgress(): boolean {
    return this.state === 'login' || this.state === 'settings';
  }

  private duringLogin(frame: Buffer): void {
    if (frame[0] === keyData && frame.length >= headBytes + 4)
      this.promisedProcess = frame.readUInt32BE(headBytes);
    if (frame[0] !== ready) return this.options.pass(frame);
    this.readyFrame = frame;
    this.state = 'settings';
    const statements = ['SELECT pg_backend_pid()', ...this.options.settings.map(({ text }) => text)];
    this.options.send(query(statements.join('; ')));
  }

  private duringSettings(frame: Buffer): void {
    switch (frame[0]) {
      case parameter:
        return this.options.pass(frame);
      case dataRow:
        this.process ??= Number(firstColumn(frame));
        return;
      case complete:
        this.made += 1;
        return;
      case refusal:
        this.refusedBy = sqlStateOf(frame);
        return;
      case ready:
        return this.afterSettings();
      default:
    }
  }

  private afterSettings(): void {
    if (this.refusedBy !== null) {
      this.state = 'over';
      const setting = this.options.settings[this.made - 1]?.name ?? 'the first query';
      this.options.refuse(
        new Failure(
          'MISCONFIGURED',
          `the database does not take a setting of our sessions: ${setting} (${this.refusedBy})`,
          { retryable: true },
        ),
      );
      return;
    }
    if (this.process === this.promisedProcess) return this.goOn();
    this.state = 'checking';
    this.options.checkPooler().then(
      () => this.goOn(),
      (error: Error) => this.options.refuse(error),
    );
  }

  private goOn(): void {
    this.state = 'over';
    this.options.pass(this.readyFrame);
    const rest = this.held;
    this.held = Buffer.alloc(0);
    if (rest.length > 0) this.options.pass(rest);
  }
}
