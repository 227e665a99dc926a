/** In which part of a path of the API stands whose it is. */
export const nameInPath = 3;

/** That part of a path, as it was meant; null where it is no percent-encoding. */
export function namedIn(path: string): string | null {
  try {
    return decodeURIComponent(path.split('/')[nameInPath] ?? '');
  } catch {
    return null;
  }
}

/** What stands for a name that is too long to be kept; `hash`: its SHA-256, hex. */
export const hashedName = (hash: string): string => `sha256:${hash}`;
