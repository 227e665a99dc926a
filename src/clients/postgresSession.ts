import type { SettingStatement } from '../../domain/databaseSession.js';
import { Failure } from '../../domain/failures.js';
import { coded } from './postgresWire.js';

const type = (letter: string): number => letter.charCodeAt(0);
const [ready, parameter, keyData] = [type('Z'), type('S'), type('K')];
const [dataRow, complete, refusal] = [type('D'), type('C'), type('E')];
const headBytes = 5;

export interface SessionStartOptions {
  settings: readonly SettingStatement[];
  /** Nothing is written: a standby will do. */
  readsOnly: boolean;
  /** To the server. */
  send(bytes: Buffer): void;
  /** To the driver. */
  pass(bytes: Buffer): void;
  /** Rejects where sessions are not what we rely on. Called where somebody stands between us and the server. */
  checkPooler(): Promise<void>;
  /** The session is the driver's from now on. */
  begin(): void;
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

/** The columns of a row without nulls, as text. */
function columnsOf(frame: Buffer): string[] {
  const columns: string[] = [];
  for (let at = headBytes + 2; at < frame.length;) {
    const end = at + 4 + frame.readInt32BE(at);
    columns.push(frame.toString('utf8', at + 4, end));
    at = end;
  }
  return columns;
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
  private isStandby = false;
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
    const statements = [
      'SELECT pg_backend_pid(), pg_is_in_recovery()',
      ...this.options.settings.map(({ text }) => text),
    ];
    this.options.send(query(statements.join('; ')));
  }

  private duringSettings(frame: Buffer): void {
    switch (frame[0]) {
      case parameter:
        return this.options.pass(frame);
      case dataRow: {
        if (this.process !== null) return;
        const [process, recovers] = columnsOf(frame);
        this.process = Number(process);
        this.isStandby = recovers === 't';
        return;
      }
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
    if (this.isStandby && !this.options.readsOnly) {
      this.state = 'over';
      // Kept, it would refuse each write for an hour, and read what was: where it is a name that led here, that may lead on by now.
      this.options.refuse(coded('SERVER_IS_STANDBY', 'the database is a standby'));
      return;
    }
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
    this.options.begin();
    this.options.pass(this.readyFrame);
    const rest = this.held;
    this.held = Buffer.alloc(0);
    if (rest.length > 0) this.options.pass(rest);
  }
}
