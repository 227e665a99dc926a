// Makes the package's JavaScript: Node takes no TypeScript under node_modules, where npx puts a package.
import { execFileSync } from 'node:child_process';
import { cpSync, rmSync } from 'node:fs';
import { createRequire } from 'node:module';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

const folder = fileURLToPath(new URL('.', import.meta.url));
const compiler = createRequire(import.meta.url).resolve('typescript-native/package.json');
rmSync(`${folder}dist`, { recursive: true, force: true });
execFileSync(process.execPath, [path.join(path.dirname(compiler), 'bin/tsc'), '-p', 'tsconfig.build.json'], {
  cwd: folder,
  stdio: 'inherit',
});
for (const page of ['link', 'overview']) {
  cpSync(`${folder}src/${page}/assets`, `${folder}dist/${page}/assets`, { recursive: true });
}
