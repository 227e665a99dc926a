export default async function globalTeardown() {
  await globalThis.sluiceTestStack?.stop();
}
