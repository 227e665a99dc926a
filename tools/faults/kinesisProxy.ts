import http from 'node:http';
import { startLoopbackServer } from './loopbackServer.js';

export interface ProxiedRecord {
  PartitionKey: string;
  /** Base64. */
  Data: string;
}

/** What happens to one PutRecords call. */
export type PutRecordsFault =
  /** Refused as a whole; nothing is forwarded. */
  | { refuse: { status: number; type: string; message?: string } }
  /** Records with an error code are kept back and answered with it, the others are forwarded. */
  | { failRecords: (record: ProxiedRecord, index: number) => string | null }
  /** Forwarded and accepted, but the connection dies before the answer. */
  | { loseAnswer: true }
  /** Neither forwarded nor answered. */
  | { hang: true }
  /** Accepted without the emulator, which is slow with megabytes. */
  | { accept: true }
  /** Answered 200 with this text, nothing forwarded. */
  | { answer: string };

export interface KinesisProxy {
  url: string;
  /** Every PutRecords call as it came in. */
  calls: { stream: string; records: ProxiedRecord[]; bytes: number }[];
  fault: (call: number, records: ProxiedRecord[]) => PutRecordsFault | null;
  /** How another operation (`GetRecords`, say) is answered instead of forwarded; null = forwarded. */
  otherFault: (operation: string) => { status: number; body: unknown } | null;
  close(): Promise<void>;
}

const bytesOf = (record: ProxiedRecord): number =>
  Buffer.byteLength(record.Data, 'base64') + Buffer.byteLength(record.PartitionKey);

/** AWS's own refusals, which the emulator does not make. */
function awsRefusal(records: ProxiedRecord[]): string | null {
  if (records.length > 500) return "Value at 'records' failed to satisfy constraint: length <= 500";
  if (records.reduce((sum, record) => sum + bytesOf(record), 0) > 5 * 1024 * 1024) {
    return 'Records size exceeds 5 MB limit';
  }
  const poison = records.findIndex((record) => bytesOf(record) > 1024 * 1024);
  return poison < 0 ? null : `Value at 'records.${poison + 1}.member.data' failed to satisfy constraint`;
}

/** A Kinesis endpoint that enforces AWS's limits on PutRecords and fails as the test says; the rest goes to the emulator. */
export async function startKinesisProxy(emulator: string): Promise<KinesisProxy> {
  const agent = new http.Agent({ keepAlive: true });
  const forward = (
    headers: http.IncomingHttpHeaders,
    body: Buffer,
  ): Promise<{ status: number; body: Buffer }> =>
    new Promise((resolve, reject) => {
      const request = http.request(
        emulator,
        { method: 'POST', agent, headers: { ...headers, 'content-length': body.length } },
        (response) => {
          const chunks: Buffer[] = [];
          response.on('data', (chunk: Buffer) => chunks.push(chunk));
          response.on('end', () =>
            resolve({ status: response.statusCode ?? 500, body: Buffer.concat(chunks) }),
          );
        },
      );
      request.on('error', reject);
      request.end(body);
    });

  const proxy: KinesisProxy = {
    url: '',
    calls: [],
    fault: () => null,
    otherFault: () => null,
    close: async () => {
      agent.destroy();
      await server.close();
    },
  };

  async function putRecords(
    headers: http.IncomingHttpHeaders,
    body: Buffer,
    response: http.ServerResponse,
  ): Promise<void> {
    const request = JSON.parse(body.toString()) as { StreamName: string; Records: ProxiedRecord[] };
    const records = request.Records;
    const reply = (status: number, value: unknown): void => {
      response.writeHead(status, { 'content-type': 'application/x-amz-json-1.1' });
      response.end(typeof value === 'string' ? value : JSON.stringify(value));
    };
    const call = proxy.calls.length;
    const bytes = records.reduce((sum, record) => sum + bytesOf(record), 0);
    proxy.calls.push({ stream: request.StreamName, records, bytes });
    const refusal = awsRefusal(records);
    if (refusal !== null) return reply(400, { __type: 'ValidationException', message: refusal });
    const fault = proxy.fault(call, records);
    if (fault !== null && 'refuse' in fault) {
      const { status, type, message } = fault.refuse;
      return reply(status, { __type: type, message: message ?? '' });
    }
    if (fault !== null && 'hang' in fault) return;
    if (fault !== null && 'answer' in fault) return reply(200, fault.answer);
    if (fault !== null && 'accept' in fault) {
      const results = records.map((_record, index) => ({ SequenceNumber: `${index + 1}`, ShardId: 's' }));
      return reply(200, { FailedRecordCount: 0, Records: results });
    }
    const codes = records.map((record, index) =>
      fault !== null && 'failRecords' in fault ? fault.failRecords(record, index) : null,
    );
    const passed = records.filter((_record, index) => codes[index] === null);
    let accepted: { SequenceNumber: string; ShardId: string }[] = [];
    if (passed.length > 0) {
      const answer = await forward(headers, Buffer.from(JSON.stringify({ ...request, Records: passed })));
      if (answer.status !== 200) return reply(answer.status, answer.body.toString());
      accepted = (JSON.parse(answer.body.toString()) as { Records: typeof accepted }).Records;
    }
    if (fault !== null && 'loseAnswer' in fault) {
      response.socket?.resetAndDestroy();
      return;
    }
    const left = accepted.values();
    const results = codes.map((code) =>
      code === null ? left.next().value : { ErrorCode: code, ErrorMessage: 'as the test wants it' },
    );
    reply(200, { FailedRecordCount: codes.length - passed.length, Records: results });
  }

  const server = await startLoopbackServer((request, body, response) => {
    const operation = String(request.headers['x-amz-target']).split('.').at(-1) ?? '';
    const isPut = operation === 'PutRecords';
    const other = isPut ? null : proxy.otherFault(operation);
    if (other !== null) {
      response.writeHead(other.status, { 'content-type': 'application/x-amz-json-1.1' });
      response.end(JSON.stringify(other.body));
      return;
    }
    const done = isPut
      ? putRecords(request.headers, body, response)
      : forward(request.headers, body).then((answer) => {
          response.writeHead(answer.status, { 'content-type': 'application/x-amz-json-1.1' });
          response.end(answer.body);
        });
    done.catch(() => response.destroy());
  });
  proxy.url = server.url;
  return proxy;
}
