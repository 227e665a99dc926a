import { startLoopbackServer } from './loopbackServer.js';

/** Stands before the Segment sink and answers in its place when it is told to. */
export interface SegmentProxy {
  url: string;
  /** null: all goes to the sink. */
  fault: 429 | 500 | 'hang' | null;
  /** Calls that did not get through. */
  refused: number;
  close(): Promise<void>;
}

export async function startSegmentProxy(sink: string): Promise<SegmentProxy> {
  const server = await startLoopbackServer((request, body, response) => {
    if (proxy.fault !== null) proxy.refused += 1;
    if (proxy.fault === 'hang') return;
    if (proxy.fault !== null) return void response.writeHead(proxy.fault).end();
    const { authorization = '', 'content-type': type = '' } = request.headers;
    fetch(`${sink}${request.url ?? ''}`, {
      method: request.method ?? 'POST',
      headers: { authorization, 'content-type': type },
      body,
    })
      .then(async (answer) => {
        response.writeHead(answer.status, { 'content-type': 'application/json' }).end(await answer.text());
      })
      .catch(() => response.destroy());
  });
  const proxy: SegmentProxy = { url: server.url, fault: null, refused: 0, close: () => server.close() };
  return proxy;
}
