import { connect, createServer } from 'node:net';
import type { Socket } from 'node:net';

/** A TCP forwarder in front of one dependency, so that a test can take it away from a process and give it back. */
export interface CuttableProxy {
  /** `host:port` to connect to. */
  address: string;
  /** From now on nothing gets through: open connections break, new ones are refused. */
  cut(): void;
  /**
   * From now on nothing gets through and nobody is told: what is sent is swallowed, no connection is closed, new ones are
   * accepted and get no answer. As a host that vanished: neither side hears of the other's end.
   */
  silence(): void;
  /** The open connections alone go silent, new ones get through. As a path that a firewall has forgotten. */
  forget(): void;
  /** The connection that sends this text goes silent behind the bytes that hold it: in the middle of a conversation. */
  forgetAfter(text: string): void;
  /** New connections get through again. Those that went silent stay so for ever. */
  restore(): void;
  close(): Promise<void>;
}

interface Pair {
  near: Socket;
  far: Socket | null;
  silent: boolean;
}

/** @param target `host:port` */
export async function startCuttableProxy(target: string): Promise<CuttableProxy> {
  const [host, port] = target.split(':') as [string, string];
  const pairs = new Set<Pair>();
  let state: 'open' | 'cut' | 'silent' = 'open';
  let last: string | null = null;

  function forward(pair: Pair): void {
    const { near } = pair;
    const far = connect(Number(port), host);
    pair.far = far;
    for (const [one, other] of [
      [near, far],
      [far, near],
    ] as const) {
      one.on('data', (bytes: Buffer) => {
        if (!pair.silent) other.write(bytes);
        if (one === near && last !== null && bytes.includes(last)) pair.silent = true;
      });
      one.on('end', () => {
        if (!pair.silent) other.end();
      });
      one.on('error', () => undefined);
      one.on('close', () => {
        if (pair.silent) return;
        pairs.delete(pair);
        other.destroy();
      });
    }
  }

  const server = createServer({ allowHalfOpen: true }, (near) => {
    if (state === 'cut') return void near.destroy();
    const pair: Pair = { near, far: null, silent: state === 'silent' };
    pairs.add(pair);
    if (!pair.silent) return forward(pair);
    near.resume();
    near.on('error', () => undefined);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port: own } = server.address() as { port: number };
  const breakAll = (): void => {
    for (const { near, far } of pairs) {
      near.destroy();
      far?.destroy();
    }
    pairs.clear();
  };
  const forget = (): void => {
    for (const pair of pairs) pair.silent = true;
  };
  return {
    address: `127.0.0.1:${own}`,
    cut() {
      state = 'cut';
      breakAll();
    },
    silence() {
      state = 'silent';
      forget();
    },
    forget,
    forgetAfter(text) {
      last = text;
    },
    restore() {
      state = 'open';
    },
    async close() {
      breakAll();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}
