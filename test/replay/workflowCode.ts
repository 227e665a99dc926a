import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import ts from 'typescript';

const root = fileURLToPath(new URL('../../', import.meta.url));

/** A file as it runs: without types, comments and layout, which change nothing at a replay. */
function asItRuns(file: string): string {
  const { outputText } = ts.transpileModule(readFileSync(file, 'utf8'), {
    compilerOptions: {
      target: ts.ScriptTarget.ES2022,
      module: ts.ModuleKind.ESNext,
      removeComments: true,
      verbatimModuleSyntax: true,
    },
  });
  return outputText;
}

/** SHA-256, hex, of each file that runs inside workflows, by its path: `workflows/` and what of the domain it imports. */
export function workflowCode(): Record<string, string> {
  const seen: Record<string, string> = {};
  const look = (file: string): void => {
    const name = path.relative(root, file);
    if (seen[name] !== undefined) return;
    const text = asItRuns(file);
    seen[name] = createHash('sha256').update(text).digest('hex');
    for (const [, specifier = ''] of text.matchAll(/from ["'](\.{1,2}\/[^"']+)\.js["']/g)) {
      look(path.resolve(path.dirname(file), `${specifier}.ts`));
    }
  };
  look(path.join(root, 'workflows/index.ts'));
  return Object.fromEntries(Object.entries(seen).sort(([one], [other]) => (one < other ? -1 : 1)));
}
