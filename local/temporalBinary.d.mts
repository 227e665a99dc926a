export const TEMPORAL_SERVER_VERSION: string;

export interface Sources {
  /** value of SLUICE_TEMPORAL_BIN */
  readonly override: string | undefined;
  /** folders of PATH */
  readonly searchPath: readonly string[];
  readonly cacheDir: string;
  readonly downloadOrigin: string;
  readonly goPackage: string;
  /** for `go` */
  readonly environment: Readonly<Record<string, string | undefined>>;
  readonly say: (line: string) => void;
}

/** The `temporal` program to run, from the first place that has it; absolute path. Throws SetupFailure when nothing has it. */
export function findTemporal(given?: Partial<Sources>): Promise<string>;
/** `findTemporal` for this process, asked once. */
export function temporalProgram(): Promise<string>;
