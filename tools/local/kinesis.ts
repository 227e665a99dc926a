import { copyFileSync, existsSync, renameSync, rmSync } from 'node:fs';
import { createRequire } from 'node:module';
import path from 'node:path';
import { readJsonFile } from './atomicFile.js';
import { say } from './progress.mjs';
import type { ServiceSpec } from './service.js';
import { answersOk } from './service.js';

export interface KinesisOptions {
  readonly dataDir: string;
  readonly logFile: string;
  readonly port: number;
  /** Unused by us, but the emulator opens it. */
  readonly tlsPort: number;
  /** Nothing kept, for tests; else streams are kept in `<dataDir>/kinesis/`. */
  readonly ephemeral: boolean;
}

const DATA_FILE = 'streams.json';
/** A save holds every answer up, of 50 MB for longer than a request may take; a clean stop saves as well. */
const SAVE_INTERVAL = '60s';
const AT_ONCE = '10ms';

/** The Kinesis emulator `kinesis-local`, plain HTTP. It has no limits but the number of shards, which is lifted here. */
export function kinesisService(options: KinesisOptions): ServiceSpec {
  const main = createRequire(import.meta.url).resolve('kinesis-local');
  const folder = path.join(options.dataDir, 'kinesis');
  return {
    name: 'kinesis',
    prepare: () => Promise.resolve(options.ephemeral ? undefined : mendData(folder)),
    launch: {
      name: 'kinesis',
      command: process.execPath,
      args: ['--max-semi-space-size=128', main], // half of its time is the collection of young garbage
      cwd: path.dirname(main), // it reads server.json from its working directory
      env: {
        KINESIS_MOCK_PLAIN_PORT: String(options.port),
        KINESIS_MOCK_TLS_PORT: String(options.tlsPort),
        SHARD_LIMIT: '100000',
        CREATE_STREAM_DURATION: AT_ONCE,
        DELETE_STREAM_DURATION: AT_ONCE,
        UPDATE_SHARD_COUNT_DURATION: AT_ONCE,
        SPLIT_SHARD_DURATION: AT_ONCE,
        MERGE_SHARDS_DURATION: AT_ONCE,
        LOG_LEVEL: 'ERROR',
        SHOULD_PERSIST_DATA: String(!options.ephemeral),
        PERSIST_PATH: folder,
        PERSIST_FILE_NAME: DATA_FILE,
        PERSIST_INTERVAL: SAVE_INTERVAL,
      },
      logFile: options.logFile,
    },
    isReady: () => answersOk(`http://127.0.0.1:${options.port}/healthcheck`),
    readyTimeoutMs: 60_000,
    stopSignal: options.ephemeral ? 'SIGKILL' : 'SIGTERM',
    stopGraceMs: 30_000, // it saves once more at the end
  };
}

/**
 * The emulator writes its whole state over the old one every few seconds: killed in the middle it leaves half a file and never
 * starts again. The last file that was whole at a start is kept beside and taken instead.
 */
function mendData(folder: string): void {
  const file = path.join(folder, DATA_FILE);
  const spare = `${file}.spare`;
  if (!existsSync(file)) return;
  if (readJsonFile(file) !== undefined) {
    copyFileSync(file, spare);
    return;
  }
  if (existsSync(spare)) {
    renameSync(spare, file);
    say('the Kinesis emulator was killed while it saved: its streams go back to the start before');
  } else {
    rmSync(file);
    say('the Kinesis emulator was killed while it saved: its streams are empty');
  }
}
