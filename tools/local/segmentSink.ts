import path from 'node:path';
import { fileURLToPath } from 'node:url';
import type { ServiceSpec } from './service.js';
import { answersOk } from './service.js';

export interface SegmentSinkOptions {
  readonly dataDir: string;
  readonly logFile: string;
  readonly port: number;
}

const MAIN = fileURLToPath(new URL('segmentSinkServer.ts', import.meta.url));

/** Stands where Segment would be and shows what it got; events are kept in `<dataDir>/segment.jsonl`. */
export function segmentSinkService(options: SegmentSinkOptions): ServiceSpec {
  const args = [
    '--import',
    import.meta.resolve('tsx'),
    MAIN,
    '--port',
    String(options.port),
    '--file',
    path.join(options.dataDir, 'segment.jsonl'),
  ];
  return {
    name: 'segment',
    launch: { name: 'segment', command: process.execPath, args, logFile: options.logFile },
    isReady: () => answersOk(`http://127.0.0.1:${options.port}/events`),
    readyTimeoutMs: 30_000,
    stopSignal: 'SIGTERM',
    stopGraceMs: 5_000,
  };
}
