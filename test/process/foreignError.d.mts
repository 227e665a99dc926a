export const canary: string;
export function foreignError(): Error;
