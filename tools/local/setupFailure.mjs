/** A failure whose message says what to do: it is printed alone, without a stack trace. */
export class SetupFailure extends Error {
  name = 'SetupFailure';
}
