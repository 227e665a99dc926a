import globalSetup from '../stack/globalSetup.mjs';
import { startRecorder } from './statementRecorder.mjs';

/** The test stack as always, but its PostgreSQL is reached through a recorder. */
export default async function recordSetup() {
  await globalSetup();
  const urls = JSON.parse(process.env.SLUICE_TEST_STACK ?? '{}');
  const url = new URL(urls.database_url);
  const recorder = await startRecorder({ host: url.hostname, port: Number(url.port), application: 'sluice' });
  globalThis.sluiceRecorder = recorder;
  globalThis.sluiceRecordedDatabase = url.href;
  url.port = String(recorder.port);
  process.env.SLUICE_TEST_STACK = JSON.stringify({ ...urls, database_url: url.href });
}
