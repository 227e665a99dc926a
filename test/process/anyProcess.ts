import { createLogger } from '../../src/logger.js';
import { runProcess } from '../../src/process.js';
import { foreignError } from './foreignError.mjs';

/** A process of ours whose work is nothing: how it starts, fails and stops is named by its argument. */
class Unusable extends Error {}
const [how] = process.argv.slice(2);
const logger = createLogger('any', 'info');
await runProcess(
  'any',
  async () => {
    if (how === 'cannot-start') throw foreignError();
    if (how === 'unusable') throw new Unusable('says what is wrong');
    const work = setInterval(() => undefined, 60_000);
    logger.info('any ready');
    return {
      logger,
      ...(how === 'ends' ? { ended: Promise.reject(foreignError()) } : {}),
      async stop() {
        if (how === 'never-stops') await new Promise(() => undefined);
        if (how === 'fails-to-stop') throw foreignError();
        await new Promise((resolve) => setTimeout(resolve, 50));
        clearInterval(work);
        logger.info('work is done');
      },
    };
  },
  Unusable,
);
