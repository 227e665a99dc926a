import { execFile } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir, userInfo } from 'node:os';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';
import puppeteer, { type Browser } from 'puppeteer-core';

const ROOT = new URL('../../', import.meta.url);
/** Makes the package bring its own libraries along: it does so where it believes to be in a bare image of this kind. */
const BARE_MACHINE = { AWS_EXECUTION_ENV: 'AWS_Lambda_nodejs22.x' };
const EXTRACT = `import chromium from '@sparticuz/chromium'; await chromium.executablePath();`;

interface Installed {
  executablePath: string;
  env: Record<string, string>;
}

/** A Chromium: the one of CHROMIUM_PATH, else the one of the package, with the libraries and fonts that a bare machine lacks. */
async function installed(): Promise<Installed> {
  const given = process.env['CHROMIUM_PATH'];
  if (given) return { executablePath: given, env: {} };
  const home = join(tmpdir(), `sluice-chromium-${packageVersion()}-${userInfo().uid}`);
  if (!existsSync(home)) await extract(home);
  return {
    executablePath: join(home, 'chromium'),
    env: {
      LD_LIBRARY_PATH: join(home, 'al2023', 'lib'),
      FONTCONFIG_FILE: join(home, 'fonts.conf'),
      HOME: home,
    },
  };
}

function packageVersion(): string {
  const main = createRequire(import.meta.url).resolve('@sparticuz/chromium');
  const manifest = join(dirname(main), '..', '..', 'package.json');
  return (JSON.parse(readFileSync(manifest, 'utf8')) as { version: string }).version;
}

/** Extracts beside and renames: another worker may be doing the same, and whoever is first wins. */
async function extract(home: string): Promise<void> {
  const fresh = mkdtempSync(`${home}-`);
  await promisify(execFile)(process.execPath, ['--input-type=module', '-e', EXTRACT], {
    cwd: ROOT,
    env: { ...process.env, ...BARE_MACHINE, TMPDIR: fresh, NODE_OPTIONS: '' },
  });
  const fonts = join(home, 'fonts');
  writeFileSync(
    join(fresh, 'fonts.conf'),
    `<?xml version="1.0"?><fontconfig><dir>${fonts}</dir><cachedir>${home}/fonts-cache</cachedir></fontconfig>\n`,
  );
  try {
    renameSync(fresh, home);
  } catch (error) {
    rmSync(fresh, { recursive: true });
    if (!existsSync(home)) throw error;
  }
}

/** Starts a headless browser with its usual protections. The simulator's tests have one of their own: it stands alone. */
export async function startBrowser(): Promise<Browser> {
  const { executablePath, env } = await installed();
  return puppeteer.launch({
    executablePath,
    env: { ...process.env, ...env },
    headless: 'shell',
    // Containers have neither user namespaces for the sandbox nor much shared memory.
    args: ['--no-sandbox', '--disable-setuid-sandbox', '--disable-dev-shm-usage', '--disable-gpu'],
  });
}
