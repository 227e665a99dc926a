export const inherited: Readonly<Record<string, string | undefined>>;
export const temporalBinOverride: string | undefined;
export const searchPath: readonly string[];
export const npmCli: string | undefined;
export const callerDir: string;
export const cacheDir: string;
export const testServices: readonly string[];
export const machineEnvironment: Readonly<Record<string, string>>;
export const tuningEnvironment: Readonly<Record<string, string>>;
/** Plaid's own sandbox in place of the simulator; undefined = not asked for. */
export const plaidSandbox:
  | Readonly<{ clientId: string | undefined; secret: string | undefined; publicUrl: string | undefined }>
  | undefined;
