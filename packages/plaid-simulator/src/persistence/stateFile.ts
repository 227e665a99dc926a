import { open, rename } from 'node:fs/promises';
import { dirname } from 'node:path';
import type { Item } from '../item/item.js';
import type { LinkSession } from '../link/session.js';
import type { LinkToken, PublicToken, ReportToken } from '../tokens.js';
import type { Delivery } from '../webhooks/delivery.js';
import type { Keeper, World } from '../world.js';
import type { StateRecord } from './records.js';
import { itemRecords, nothingWritten, worldRecord, worldRecords, type Written } from './writeRecords.js';

const WRITE_AFTER_MS = 100;
/** The file is written anew when what was appended is this much more than what it began with. */
const COMPACT_FACTOR = 4;
const COMPACT_SLACK_BYTES = 16 * 1024 * 1024;
/**
 * The world on disk: lines of JSON, each a thing as it is now; later lines win. Writing only appends, so a kill -9 can at most
 * leave half a last line, which is ignored. Now and then, and at start and stop, the file is written anew beside the old one
 * and renamed.
 */
export class StateFile implements Keeper {
  private readonly dirtyItems = new Set<Item>();
  private readonly waiting: StateRecord[] = [];
  private worldDirty = false;
  private timer: NodeJS.Timeout | undefined;
  private writing: Promise<void> = Promise.resolve();
  private baseBytes = 0;
  private addedBytes = 0;
  private written = new Map<Item, Written>();

  private constructor(
    private readonly path: string,
    private readonly kept: World,
    private readonly onError: (error: unknown) => void,
  ) {}

  /** Writes the world as it is, and keeps it from now on. */
  static async attach(path: string, world: World, onError: (error: unknown) => void): Promise<StateFile> {
    const file = new StateFile(path, world, onError);
    const written = file.compact();
    // What happens while this writes waits for its end.
    file.writing = written.catch(() => undefined);
    world.keeper = file;
    await written;
    return file;
  }

  world(): void {
    this.worldDirty = true;
    this.later();
  }

  item(item: Item): void {
    this.dirtyItems.add(item);
    this.later();
  }

  delivery(delivery: Delivery): void {
    this.waiting.push({ kind: 'delivery', delivery: structuredClone(delivery) });
    this.later();
  }

  publicToken(token: PublicToken): void {
    this.waiting.push({ kind: 'public', token: { ...token } });
    this.later();
  }

  linkToken(token: LinkToken): void {
    this.waiting.push({ kind: 'link', token });
    this.later();
  }

  linkSession(session: LinkSession): void {
    this.waiting.push({ kind: 'session', session: structuredClone(session) });
    this.later();
  }

  report(report: ReportToken): void {
    this.waiting.push({ kind: 'report', report: { ...report } });
    this.later();
  }

  reset(): void {
    this.dirtyItems.clear();
    this.written = new Map();
    this.waiting.length = 0;
    this.waiting.push({ kind: 'reset' });
    this.world();
  }

  saved(): Promise<void> {
    clearTimeout(this.timer);
    this.timer = undefined;
    // A failed write is reported and retried with the next one: what it held is still listed.
    this.writing = this.writing.then(() => this.append()).catch(this.onError);
    return this.writing;
  }

  async close(): Promise<void> {
    await this.saved();
    await this.compact();
  }

  private later(): void {
    this.timer ??= setTimeout(() => void this.saved(), WRITE_AFTER_MS);
  }

  private async append(): Promise<void> {
    const lines = this.takeLines();
    if (lines.length === 0) return;
    const handle = await open(this.path, 'a');
    try {
      for (const line of lines) this.addedBytes += (await handle.write(line)).bytesWritten;
      // Tokens that an app was given are known after a loss of power too.
      await handle.datasync();
    } finally {
      await handle.close();
    }
    if (this.addedBytes > this.baseBytes * COMPACT_FACTOR + COMPACT_SLACK_BYTES) await this.compact();
  }

  /** What changed since the last write; synchronous, so that it is one moment of the world. */
  private takeLines(): string[] {
    const records: StateRecord[] = this.waiting.splice(0);
    if (this.worldDirty) records.push(worldRecord(this.kept));
    this.worldDirty = false;
    const items = [...this.dirtyItems];
    this.dirtyItems.clear();
    const lines = records.map(lineOf);
    for (const item of items) {
      if (this.kept.items.get(item.id) === item) lines.push(...this.itemLines(item));
    }
    return lines;
  }

  /** Everything, written beside the file and renamed over it. */
  private async compact(): Promise<void> {
    this.written = new Map();
    this.dirtyItems.clear();
    this.waiting.length = 0;
    this.worldDirty = false;
    const world = this.kept;
    const records = worldRecords(world);
    const items = [...world.items.values()];
    const temporary = `${this.path}.${process.pid}.tmp`;
    const handle = await open(temporary, 'w', 0o600);
    let bytes = 0;
    try {
      const write = async (lines: readonly string[]) => {
        for (const line of lines) bytes += (await handle.write(line)).bytesWritten;
      };
      await write(records.map(lineOf));
      // What changes while this writes is listed again and appended after the rename.
      for (const item of items) await write(this.itemLines(item));
      await handle.sync();
    } finally {
      await handle.close();
    }
    await rename(temporary, this.path);
    const folder = await open(dirname(this.path), 'r');
    try {
      await folder.sync();
    } finally {
      await folder.close();
    }
    this.baseBytes = bytes;
    this.addedBytes = 0;
  }

  private itemLines(item: Item): string[] {
    const written = this.written.get(item) ?? nothingWritten();
    this.written.set(item, written);
    return itemRecords(item, written).map((record) => `${record}\n`);
  }
}

function lineOf(record: StateRecord): string {
  return `${JSON.stringify(record)}\n`;
}
