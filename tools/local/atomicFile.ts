import { randomBytes } from 'node:crypto';
import { closeSync, fsyncSync, mkdirSync, openSync, readFileSync, renameSync, writeSync } from 'node:fs';
import path from 'node:path';

/**
 * Readers see the old content or the new, never half of it, whenever this process is killed or the machine loses power. What is
 * written here (keys that rows are encrypted with, say) may not be lost when others have begun to rely on it.
 */
export function writeFileAtomic(file: string, content: string, mode = 0o644): void {
  const folder = path.dirname(file);
  mkdirSync(folder, { recursive: true });
  const temporary = `${file}.${process.pid}.${randomBytes(4).toString('hex')}`;
  onFile(openSync(temporary, 'wx', mode), (descriptor) => {
    const bytes = Buffer.from(content);
    for (let at = 0; at < bytes.length;) at += writeSync(descriptor, bytes, at);
    fsyncSync(descriptor);
  });
  renameSync(temporary, file);
  // The name is the folder's to keep.
  onFile(openSync(folder, 'r'), fsyncSync);
}

function onFile(descriptor: number, use: (descriptor: number) => void): void {
  try {
    use(descriptor);
  } finally {
    closeSync(descriptor);
  }
}

/** undefined when the file is absent or not JSON */
export function readJsonFile(file: string): unknown {
  try {
    return JSON.parse(readFileSync(file, 'utf8')) as unknown;
  } catch {
    return undefined;
  }
}
