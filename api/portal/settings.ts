/** How the user's page looks, and where it is. */
export interface PortalSettings {
  /** Its origin for browsers, without a slash at the end; null = whatever address the request for a session came to. */
  url: string | null;
  /** Of whoever runs this service, as users know them. */
  name: string;
  /** Both `#rrggbb`. */
  accent: string;
  background: string;
  logo: { type: string; bytes: Uint8Array } | null;
  /** For how long one press on "allow" lasts. */
  renewalMs: number;
}
