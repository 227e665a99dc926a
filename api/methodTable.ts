import { Problem } from './errors.js';

/** Which methods a path takes, for the difference between 404 and 405. */
export function methodTable(): {
  add(pattern: string, methods: string | string[]): void;
  problemFor(path: string): Problem;
} {
  const table = new Map<string, { matches: RegExp; methods: Set<string> }>();
  return {
    add(pattern, methods) {
      const source = pattern
        .replace(/[.+?^${}()|[\]\\]/g, '\\$&')
        .replace(/:[A-Za-z]+/g, '[^/]+')
        .replace('*', '.*');
      const entry = table.get(pattern) ?? { matches: new RegExp(`^${source}$`), methods: new Set() };
      for (const method of [methods].flat()) entry.methods.add(method);
      table.set(pattern, entry);
    },
    problemFor(path) {
      const methods = new Set<string>();
      for (const entry of table.values()) {
        if (entry.matches.test(path)) for (const method of entry.methods) methods.add(method);
      }
      return methods.size === 0
        ? new Problem('not_found')
        : new Problem('method_not_allowed', { headers: { allow: [...methods].sort().join(', ') } });
    },
  };
}
