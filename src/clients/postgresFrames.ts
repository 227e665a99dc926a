/** What one side says on a connection, as PostgreSQL's protocol frames it: a type byte, a length, a body. */
class Frames {
  private type = 0;
  private left = 0;
  private head: number[] = [];
  private body: Uint8Array[] = [];

  /**
   * @param untyped the first message has no type byte (a client's start-up)
   * @param kept types whose body is wanted; all others are delivered without it as soon as they begin
   */
  constructor(
    private untyped: boolean,
    private readonly kept: ReadonlySet<number>,
    private readonly deliver: (type: number, body: Buffer) => void,
  ) {}

  read(bytes: Buffer): void {
    for (let at = 0; at < bytes.length;) {
      if (this.left > 0) {
        const end = Math.min(bytes.length, at + this.left);
        if (this.kept.has(this.type)) this.body.push(bytes.subarray(at, end));
        this.left -= end - at;
        at = end;
        if (this.left === 0 && this.kept.has(this.type)) this.deliver(this.type, Buffer.concat(this.body));
        continue;
      }
      if (!this.untyped && this.head.length === 0 && bytes.length - at >= 5) {
        // A row of an answer begins so, and an answer has hundreds.
        this.begin(bytes[at] as number, bytes.readUInt32BE(at + 1));
        at += 5;
        continue;
      }
      this.head.push(bytes[at] as number);
      at += 1;
      if (this.head.length === (this.untyped ? 4 : 5)) {
        const length = Buffer.from(this.head).readUInt32BE(this.head.length - 4);
        this.begin(this.untyped ? startUp : (this.head[0] as number), length);
      }
    }
  }

  private begin(type: number, length: number): void {
    this.type = type;
    this.left = Math.max(0, length - 4);
    this.untyped = false;
    if (this.head.length > 0) this.head = [];
    if (this.body.length > 0) this.body = [];
    if (this.left === 0 || !this.kept.has(this.type)) this.deliver(this.type, nothing);
  }
}

const nothing = Buffer.alloc(0);
const startUp = 0;
const type = (letter: string): number => letter.charCodeAt(0);
const [query, sync, flush] = [type('Q'), type('S'), type('H')];
const [readyForQuery, backendKeyData] = [type('Z'), type('K')];
const idle = type('I');

/** What names a server process in a request to cancel. */
export interface BackendKey {
  processId: number;
  secret: Buffer;
}

/**
 * Whether the server owes an answer on one connection, and since when it has said nothing. A query is answered by
 * ReadyForQuery and by nothing less: half an answer is not one.
 */
export class OwedAnswers {
  private unanswered = 0;
  private flushed = false;
  private status = 0;
  private heardAt = 0;
  /** Null before the server has sent it. */
  backendKey: BackendKey | null = null;
  private readonly sending = new Frames(true, new Set(), (sent) => {
    if (sent === startUp || sent === query || sent === sync) this.unanswered += 1;
    else if (sent === flush) this.flushed = true;
  });
  private readonly hearing = new Frames(false, new Set([readyForQuery, backendKeyData]), (heard, body) => {
    if (heard === readyForQuery) {
      this.unanswered = Math.max(0, this.unanswered - 1);
      this.status = body[0] ?? 0;
    } else if (heard === backendKeyData && body.length >= 8) {
      this.backendKey = { processId: body.readUInt32BE(0), secret: body.subarray(4) };
    }
  });

  /** The client sends `bytes`. */
  sent(bytes: Buffer, now: number): void {
    if (!this.owed()) this.heardAt = now;
    this.sending.read(bytes);
  }

  /** The server has sent `bytes`. */
  heard(bytes: Buffer, now: number): void {
    this.heardAt = now;
    this.flushed = false;
    this.hearing.read(bytes);
  }

  private owed(): boolean {
    return this.unanswered > 0 || this.flushed;
  }

  /** Milliseconds since the server last said something, while it owes an answer; else 0. */
  silentFor(now: number): number {
    return this.owed() ? now - this.heardAt : 0;
  }

  /** Nothing is asked and no transaction is open: the connection serves nobody. */
  isIdle(): boolean {
    return !this.owed() && this.status === idle;
  }
}
