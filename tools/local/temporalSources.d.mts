/** The server that the tests run against, and the older one that `go install` builds. */
export const TEMPORAL_SERVER_VERSION: string;
export const BUILT_SERVER_VERSION: string;

/** A wheel of PyPI that holds the program, with the SHA-256 of wheel and program by platform. */
export interface Wheel {
  readonly requirement: string;
  readonly platforms: Readonly<Record<string, { wheel: string; program: string } | undefined>>;
}

export interface Sources {
  /** value of SLUICE_TEMPORAL_BIN */
  readonly override: string | undefined;
  /** folders of PATH */
  readonly searchPath: readonly string[];
  readonly cacheDir: string;
  readonly downloadOrigin: string;
  readonly wheel: Wheel;
  readonly goPackage: string;
  /** for `go` and Python */
  readonly environment: Readonly<Record<string, string | undefined>>;
  readonly say: (line: string) => void;
}
