export default async function globalTeardown() {
  await globalThis.sluiceTestServices?.stop();
}
