import path from 'node:path';

/**
 * Arguments with which Node starts an entry of the program, `src/worker.ts` say: the JavaScript that the global setup has made of it.
 * That `npm start` runs the same files by tsx is the matter of test/tools/local/start.test.ts.
 */
export function programArguments(entry: string): string[] {
  const folder = process.env['SLUICE_TEST_PROGRAM'];
  if (!folder) throw new Error('the global setup has not compiled the program');
  return [path.join(folder, entry.replace(/\.ts$/, '.js'))];
}
