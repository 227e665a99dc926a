const policyOf = (...directives: string[]): string =>
  [
    "default-src 'none'",
    "object-src 'none'",
    "base-uri 'none'",
    "frame-ancestors 'none'",
    ...directives,
  ].join('; ');

/** For the page at /docs: scripts and styles of ours. */
export const policyOfDocs = policyOf(
  "script-src 'self'",
  "style-src 'self' 'unsafe-inline'",
  "img-src 'self' data:",
  "connect-src 'self'",
  "form-action 'none'",
);

/** For the user's page: one style sheet of ours, pictures of ours, forms to us; no script, no frame, nobody else. */
export const policyOfPortal = policyOf("style-src 'self'", "img-src 'self' data:", "form-action 'self'");

/**
 * Of every answer, also of one that no plugin sees: to a request that is not routed, or is none. What is no page is data, and a
 * browser that is led to it runs nothing of what it quotes. Pages set a policy of their own in its place.
 */
export const securityHeaders: Readonly<Record<string, string>> = {
  'cache-control': 'no-store',
  'content-security-policy': policyOf("form-action 'none'", 'sandbox'),
  'referrer-policy': 'no-referrer',
  'strict-transport-security': 'max-age=31536000; includeSubDomains',
  'x-content-type-options': 'nosniff',
  'x-frame-options': 'DENY',
};
