import { existsSync, realpathSync, rmSync } from 'node:fs';
import path from 'node:path';
import { DEFAULT_DATA_DIR, parseCommandOptions } from './commandOptions.js';
import { failureText } from './failureText.js';
import { closedPlaceSubstitute } from './postgresAccount.js';
import { openProcessRegistry } from './processRegistry.js';
import { say } from './progress.mjs';
import { SetupFailure } from './setupFailure.mjs';

/** `npm run reset`: removes the local data; refuses while a stack runs on them, ends what a killed one left. */
try {
  const options = parseCommandOptions(process.argv.slice(2), ['data-dir']);
  const dataDir = options.dataDir ?? DEFAULT_DATA_DIR;
  if (!existsSync(dataDir)) {
    say(`${dataDir} does not exist: nothing to remove`);
  } else if (!existsSync(path.join(dataDir, 'processes.json'))) {
    // A wrong --data-dir must not cost anybody a folder.
    throw new SetupFailure(`${dataDir} holds no data of Sluice, it is left alone`);
  } else {
    const guard = await openProcessRegistry(dataDir);
    rmSync(closedPlaceSubstitute(path.join(realpathSync(dataDir), 'postgres')), {
      recursive: true,
      force: true,
    });
    rmSync(dataDir, { recursive: true, force: true });
    await guard.close();
    say(`removed ${dataDir}`);
  }
} catch (error) {
  say(failureText(error));
  process.exitCode = 1;
}
