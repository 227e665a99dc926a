export interface NodeRelease {
  readonly version: string;
  /** SHA-256 of the program */
  readonly program: string;
}
export const NODE_RELEASES: readonly NodeRelease[];
export function nodeProgram(release: NodeRelease, cache?: string): Promise<string>;
