import { readFileSync } from 'node:fs';
import { extname } from 'node:path';
import { ConfigError } from './config.js';

const types: Readonly<Record<string, string>> = {
  '.png': 'image/png',
  '.jpg': 'image/jpeg',
  '.jpeg': 'image/jpeg',
  '.webp': 'image/webp',
  '.svg': 'image/svg+xml',
};
const mostBytes = 256 * 1024;

/** The picture for the user's page: read once, at the start, so that a wrong path is found then. */
export function readLogo(path: string): { type: string; bytes: Uint8Array } {
  const type = types[extname(path).toLowerCase()];
  if (type === undefined) throw new ConfigError('PORTAL_LOGO: must be a .png, .jpg, .webp or .svg file');
  let bytes: Uint8Array;
  try {
    bytes = readFileSync(path);
  } catch {
    throw new ConfigError('PORTAL_LOGO: the file cannot be read');
  }
  if (bytes.byteLength > mostBytes) throw new ConfigError('PORTAL_LOGO: must be 256 KiB at most');
  return { type, bytes };
}
