/** Names one process for ever (a pid alone is reused); undefined when no such process runs. */
export function processIdentity(pid: number): string | undefined;
export function isSameProcess(pid: number, identity: string | undefined): boolean;
