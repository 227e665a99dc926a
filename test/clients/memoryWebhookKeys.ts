import type { WebhookKey, WebhookKeyStore } from '../../domain/ports/webhookKeys.js';

/** The store of webhook keys in memory; `down` makes it fail, or never answer. */
export interface MemoryWebhookKeys extends WebhookKeyStore {
  keys: Map<string, { key: WebhookKey; at: number }>;
  senders: Set<string>;
  /** Items that are ours. */
  items: Set<string>;
  loads: number;
  down: (() => Promise<never>) | null;
}

export function memoryWebhookKeys(now: () => number): MemoryWebhookKeys {
  const store: MemoryWebhookKeys = {
    keys: new Map(),
    senders: new Set(),
    items: new Set(),
    loads: 0,
    down: null,
    async load() {
      store.loads += 1;
      if (store.down) return store.down();
      const keys = [...store.keys.values()].map(({ key, at }) => ({ key, ageMs: now() - at }));
      return { keys, senders: [...store.senders] };
    },
    async save(key, ageMs) {
      if (store.down) return store.down();
      store.keys.set(key.kid, { key, at: now() - ageMs });
    },
    async drop(kid) {
      if (store.down) return store.down();
      store.keys.delete(kid);
    },
    async noteSender(address, itemId) {
      if (store.down) return store.down();
      if (store.items.has(itemId)) store.senders.add(address);
      return store.items.has(itemId);
    },
  };
  return store;
}
