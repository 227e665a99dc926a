/** Something that the demo did beside mining: what should come of it, and what did. */
export interface FeatureCheck {
  readonly what: string;
  readonly expected: string;
  readonly found: string;
}
