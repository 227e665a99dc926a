import { once } from 'node:events';
import { runCommand } from '../../tools/local/command.js';
import { SetupFailure } from '../../tools/local/setupFailure.mjs';
import { foreignError } from './foreignError.mjs';

/** A command of the local stack that starts nothing: how it ends is named by its argument. */
const [how] = process.argv.slice(2);
const say = (line: string): void => void process.stdout.write(`${line}\n`);
await runCommand(async (signal) => {
  const work = setInterval(() => undefined, 60_000);
  say('command ready');
  if (how === 'fails') throw foreignError();
  if (how === 'cannot') throw new SetupFailure('do this first');
  if (how === 'in-vain') return false;
  await once(signal, 'abort');
  say('command stopping');
  if (how === 'never-stops') await new Promise(() => undefined);
  await new Promise((resolve) => setTimeout(resolve, 50));
  clearInterval(work);
  say('all is stopped');
  return true;
});
