import type { StackUrls } from '../../tools/local/stack.js';

/** Addresses of the services that the global setup started. */
export function testStack(): StackUrls {
  const text = process.env['SLUICE_TEST_STACK'];
  if (!text) throw new Error('no test stack: jest.config.js must name test/stack/globalSetup.mjs');
  return JSON.parse(text) as StackUrls;
}

/** The workflows that the global setup bundled. */
export function workflowBundleFile(): string {
  const file = process.env['SLUICE_TEST_BUNDLE'];
  if (!file) throw new Error('the global setup has not bundled the workflows');
  return file;
}
