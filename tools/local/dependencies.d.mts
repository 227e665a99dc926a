/** What `package-lock.json` asks for and `node_modules` does not have: package folders, empty when everything is there. */
export function missingDependencies(root: string, options: { withDevelopment: boolean }): string[];
/** Installs exactly what the lockfile names, once, however many scripts start at the same time. */
export function ensureDependencies(root: string, options: { withDevelopment: boolean }): Promise<void>;
