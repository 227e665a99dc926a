import { spawn } from 'node:child_process';
import type { ChildProcess } from './childProcess.js';
import { machineEnvironment } from './environment.mjs';

/**
 * A tiny shell beside the stack that outlives it by seconds: it reads what runs from a pipe, and when the pipe ends because
 * the stack is gone (kill -9, a closed terminal, out of memory) it ends what is left. Without it a killed test run left
 * PostgreSQL and Temporal behind for ever, holding ports and data.
 */
export interface Guard {
  add(child: ChildProcess, signal: NodeJS.Signals): void;
  remove(child: ChildProcess): void;
  /** Ends the guard after everything it knew was removed. */
  close(): Promise<void>;
}

/** Then comes force. The Kinesis emulator saves its streams when it is asked to end, which takes seconds. */
const GRACE_MS = 20_000;

// Removing a pid rewrites the list; `signal:pid` words hold no spaces.
const SCRIPT = `
trap '' INT TERM HUP
list=
scratch=
while read -r verb value; do
  case $verb in
    add) list="$list $value" ;;
    remove) kept=; for entry in $list; do [ "\${entry#*:}" = "$value" ] || kept="$kept $entry"; done; list=$kept ;;
    scratch) scratch=$value ;;
  esac
done
for entry in $list; do kill -"\${entry%%:*}" "\${entry#*:}" 2>/dev/null; done
tries=0
while [ $tries -lt "$1" ]; do
  alive=
  for entry in $list; do kill -0 "\${entry#*:}" 2>/dev/null && alive=1; done
  [ -z "$alive" ] && break
  tries=$((tries + 1)); sleep 0.1
done
for entry in $list; do kill -KILL "\${entry#*:}" 2>/dev/null; done
[ -n "$scratch" ] && rm -rf -- "$scratch"
exit 0
`;

/** @param scratchDir removed at the end, for stacks whose data nobody wants to keep */
export async function startGuard(scratchDir?: string, graceMs = GRACE_MS): Promise<Guard> {
  const shell = spawn('sh', ['-c', SCRIPT, 'sluice-guard', String(Math.ceil(graceMs / 100))], {
    env: { ...machineEnvironment },
    stdio: ['pipe', 'ignore', 'ignore'],
    detached: true,
    cwd: '/',
  });
  await new Promise<void>((resolve, reject) => {
    shell.once('spawn', resolve);
    shell.once('error', reject);
  });
  const ended = new Promise<void>((resolve) => shell.once('exit', () => resolve()));
  shell.stdin.on('error', () => undefined); // a guard that was itself killed must not take the stack with it
  const send = (line: string): void => {
    if (shell.stdin.writable) shell.stdin.write(`${line}\n`);
  };
  if (scratchDir) send(`scratch ${scratchDir}`);
  return {
    add: (child, signal) => send(`add ${signal.replace(/^SIG/, '')}:${child.pid}`),
    remove: (child) => send(`remove ${child.pid}`),
    close: async () => {
      shell.stdin.end();
      await ended;
    },
  };
}
