import { startTestServices } from '../../tools/local/testServices.mjs';

/** `npm test` has started what the tests need, for all its runs of jest. A run by hand starts it itself. */
export default async function globalSetup() {
  if (process.env.SLUICE_TEST_STACK !== undefined) return;
  const services = await startTestServices();
  globalThis.sluiceTestServices = services;
  Object.assign(process.env, services.env);
}
