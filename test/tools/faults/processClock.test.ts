import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { createProcessClock } from '../../../tools/faults/processClock.js';

const dir = mkdtempSync(path.join(tmpdir(), 'sluice-clock-'));
afterAll(() => rmSync(dir, { recursive: true, force: true }));

const minute = 60_000;
/** Answers each line with what its clock says, by each of the ways to ask. */
const program = `
  process.stdin.on('data', () => {
    console.log(JSON.stringify([Date.now(), new Date().getTime(), Date.parse(Date()), new Date(5).getTime(), new Date() instanceof Date]));
  }).on('end', () => process.exit());
`;

it('a process whose clock jumps sees it by every way to ask, ahead and back, and knows its dates', async () => {
  const clock = createProcessClock(path.join(dir, 'offset'));
  const child = spawn(process.execPath, ['-e', program], {
    env: { PATH: process.env['PATH'], ...clock.env },
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  const ask = async (): Promise<unknown[]> => {
    child.stdin.write('\n');
    const [line] = (await once(child.stdout, 'data')) as [Buffer];
    return JSON.parse(line.toString()) as unknown[];
  };
  for (const offset of [0, 60 * minute, -60 * minute]) {
    clock.jumpTo(offset);
    for (;;) {
      const [now, made, text, other, isDate] = (await ask()) as [number, number, number, number, boolean];
      expect([other, isDate]).toEqual([5, true]);
      if ([now, made, text].every((at) => Math.abs(at - Date.now() - offset) < 5 * minute)) break;
    }
  }
  child.stdin.end();
  await once(child, 'exit');
});
