import { connect, createServer } from 'node:net';
import type { Socket } from 'node:net';

/** A TCP forwarder in front of one dependency, so that a test can take it away from a process and give it back. */
export interface CuttableProxy {
  /** `host:port` to connect to. */
  address: string;
  /** From now on nothing gets through: open connections go silent or break, new ones are refused. */
  cut(): void;
  restore(): void;
  close(): Promise<void>;
}

/** @param target `host:port` */
export async function startCuttableProxy(target: string): Promise<CuttableProxy> {
  const [host, port] = target.split(':') as [string, string];
  const open = new Set<Socket>();
  let isCut = false;
  const server = createServer((near) => {
    if (isCut) return void near.destroy();
    const far = connect(Number(port), host);
    for (const [one, other] of [
      [near, far],
      [far, near],
    ] as const) {
      open.add(one);
      one.on('error', () => other.destroy());
      one.on('close', () => {
        open.delete(one);
        other.destroy();
      });
      one.pipe(other);
    }
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port: own } = server.address() as { port: number };
  const breakAll = (): void => {
    for (const socket of open) socket.destroy();
  };
  return {
    address: `127.0.0.1:${own}`,
    cut() {
      isCut = true;
      breakAll();
    },
    restore() {
      isCut = false;
    },
    async close() {
      breakAll();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}
