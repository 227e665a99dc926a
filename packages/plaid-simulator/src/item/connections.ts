import type { Item } from './item.js';

interface Login {
  /** Its connections, the oldest first. */
  connections: Item[][];
  applications: Set<string>;
}

/**
 * Which Items are windows of several applications on one login at one bank. An application has at most one living Item of a
 * connection: one that links the same login again begins another, as if it were another session at the bank.
 */
export class Connections {
  private readonly byId = new Map<string, Item[]>();
  private readonly logins = new Map<string, Login>();

  add(item: Item): void {
    const { connectionId, loginKey, application } = item.facts;
    const login = this.logins.get(loginKey) ?? { connections: [], applications: new Set() };
    this.logins.set(loginKey, login);
    if (application) login.applications.add(application.id);
    const members = this.byId.get(connectionId) ?? [];
    if (members.length === 0) login.connections.push(members);
    this.byId.set(connectionId, members);
    members.push(item);
    item.share(() => this.connected(item).filter((other) => other !== item));
  }

  /** All Items that ever were of this Item's connection, itself included. */
  members(item: Item): readonly Item[] {
    return this.byId.get(item.facts.connectionId) ?? [];
  }

  /** The Items through which applications have access now. */
  connected(item: Item): Item[] {
    return this.members(item).filter(hasAccess);
  }

  /** The connection that a further application's Item belongs to: the latest in which it has no access yet; else nothing. */
  toJoin(loginKey: string, application: string | null): Item[] {
    const login = this.logins.get(loginKey);
    if (!login || application === null) return [];
    if (login.applications.size === 1 && login.applications.has(application)) return [];
    for (let at = login.connections.length - 1; at >= 0; at -= 1) {
      const living = (login.connections[at] ?? []).filter(hasAccess);
      // Whose application is not known cannot be distinguished from this one.
      const others = living.every(
        ({ facts }) => facts.application !== null && facts.application.id !== application,
      );
      if (living.length > 0 && others) return living;
    }
    return [];
  }

  clear(): void {
    this.byId.clear();
    this.logins.clear();
  }
}

function hasAccess({ facts }: Item): boolean {
  return facts.removedAt === null && facts.failure?.code !== 'USER_PERMISSION_REVOKED';
}
