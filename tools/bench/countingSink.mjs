// A Kinesis endpoint that takes every record at once and counts what it got: a sink without shard limits. Plain
// JavaScript and a process of its own, so that its share of the work is small and the same for both sides of a pair.
import { createServer } from 'node:http';

const eventStart = Buffer.from('"specversion"');
let counts = { records: 0, events: 0, calls: 0 };

function eventsIn(data) {
  let events = 0;
  for (let at = data.indexOf(eventStart); at >= 0; at = data.indexOf(eventStart, at + eventStart.length))
    events += 1;
  return events;
}

const server = createServer((request, response) => {
  const chunks = [];
  request.on('data', (chunk) => chunks.push(chunk));
  request.on('end', () => {
    if (request.method === 'GET') {
      response.end(JSON.stringify(counts));
      if (request.url === '/reset') counts = { records: 0, events: 0, calls: 0 };
      return;
    }
    const { Records: records } = JSON.parse(Buffer.concat(chunks).toString());
    counts.calls += 1;
    counts.records += records.length;
    for (const record of records) counts.events += eventsIn(Buffer.from(record.Data, 'base64'));
    response.setHeader('content-type', 'application/x-amz-json-1.1');
    response.end(
      JSON.stringify({
        FailedRecordCount: 0,
        Records: records.map(() => ({ SequenceNumber: '1', ShardId: 'shardId-000000000000' })),
      }),
    );
  });
});
server.listen(0, '127.0.0.1', () => {
  process.send?.({ url: `http://127.0.0.1:${server.address().port}` });
});
process.on('disconnect', () => process.exit(0));
