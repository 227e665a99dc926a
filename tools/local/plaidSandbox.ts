import { tuningEnvironment } from './environment.mjs';
import { SetupFailure } from './setupFailure.mjs';

/** The developer's own account in Plaid's sandbox. */
export interface PlaidSandbox {
  readonly clientId: string;
  readonly secret: string;
  /** Where Plaid's webhooks reach this machine. */
  readonly publicUrl: string | undefined;
}

/** Without webhooks an Item is checked this often: slow enough for Plaid's limits, soon enough to be watched. */
export const SANDBOX_POLL = 'PT30M';

/** Which Plaid the processes talk to, and how it reaches them. */
export function plaidEnvironment(
  local: { simulatorUrl: string; apiUrl: string; plaidClientId: string; plaidSecret: string },
  sandbox: PlaidSandbox | undefined,
): Record<string, string> {
  if (sandbox === undefined) {
    return {
      PLAID_BASE_URL: local.simulatorUrl,
      PLAID_CLIENT_ID: local.plaidClientId,
      PLAID_SECRET: local.plaidSecret,
      PUBLIC_URL: local.apiUrl,
    };
  }
  return {
    PLAID_ENV: 'sandbox',
    PLAID_CLIENT_ID: sandbox.clientId,
    PLAID_SECRET: sandbox.secret,
    INSTITUTION_PAGES_PER_MINUTE: '10',
    ...(sandbox.publicUrl === undefined
      ? { UPDATE_TIMEOUT: tuningEnvironment['UPDATE_TIMEOUT'] ?? SANDBOX_POLL }
      : { PUBLIC_URL: sandbox.publicUrl }),
  };
}

/** What the shell gives, complete; a half of it is reported, since the simulator in its place would surprise. */
export function sandboxCredentials(
  given:
    | { clientId: string | undefined; secret: string | undefined; publicUrl: string | undefined }
    | undefined,
): PlaidSandbox | undefined {
  if (given === undefined) return undefined;
  const { clientId, secret, publicUrl } = given;
  if (clientId === undefined || secret === undefined) {
    throw new SetupFailure(
      "PLAID_ENV=sandbox asks for Plaid's own sandbox: set PLAID_CLIENT_ID and PLAID_SECRET too, or unset PLAID_ENV for the simulator",
    );
  }
  return { clientId, secret, publicUrl: publicUrl?.replace(/\/+$/, '') };
}
