import { InstitutionCatalogue } from './bank/institutions.js';
import { CallCounts } from './calls.js';
import { SimulatedClock } from './clock.js';
import { PlaidApiError } from './errors.js';
import { Faults } from './faults.js';
import { IdFactory } from './ids.js';
import { Connections } from './item/connections.js';
import type { Item } from './item/item.js';
import { RateLimits } from './limits.js';
import type { LinkSession } from './link/session.js';
import type { SimulatorOptions } from './options.js';
import { Schedule } from './schedule.js';
import type { LinkToken, PublicToken, ReportToken } from './tokens.js';
import { Deliveries } from './webhooks/deliveries.js';
import type { Delivery } from './webhooks/delivery.js';
import { SigningKeys } from './webhooks/keys.js';
import type { SavedWorld } from './persistence/records.js';

/** Hears of what a state file must keep. */
export interface Keeper {
  world(): void;
  item(item: Item): void;
  delivery(delivery: Delivery): void;
  publicToken(token: PublicToken): void;
  linkToken(token: LinkToken): void;
  linkSession(session: LinkSession): void;
  report(report: ReportToken): void;
  reset(): void;
  /** Resolves when all of it is on disk. */
  saved(): Promise<void>;
}

const NOBODY: Keeper = {
  world: () => undefined,
  item: () => undefined,
  delivery: () => undefined,
  publicToken: () => undefined,
  linkToken: () => undefined,
  linkSession: () => undefined,
  report: () => undefined,
  reset: () => undefined,
  saved: () => Promise.resolve(),
};

/** Everything there is: time, Items, tokens, webhooks under way. One world per simulator. */
export class World {
  readonly clock: SimulatedClock;
  readonly schedule: Schedule;
  readonly keys: SigningKeys;
  readonly deliveries: Deliveries;
  readonly limits: RateLimits;
  readonly calls = new CallCounts();
  readonly faults: Faults;
  institutions: InstitutionCatalogue;
  ids: IdFactory;
  keeper: Keeper = NOBODY;
  readonly items = new Map<string, Item>();
  readonly connections = new Connections();
  readonly publicTokens = new Map<string, PublicToken>();
  readonly linkTokens = new Map<string, LinkToken>();
  readonly linkSessions = new Map<string, LinkSession>();
  readonly reports = new Map<string, ReportToken>();
  private readonly byAccessToken = new Map<string, Item>();

  constructor(
    readonly options: SimulatorOptions,
    onError: (error: unknown) => void,
    saved?: SavedWorld,
  ) {
    const seed = saved?.seed ?? options.seed;
    this.clock = new SimulatedClock(saved?.clock ?? this.startOfTime(options.clockScale));
    this.schedule = new Schedule(this.clock, onError);
    this.keys = new SigningKeys(saved?.keys);
    this.ids = new IdFactory(seed, saved?.issued);
    this.institutions = new InstitutionCatalogue(seed, options.institutions);
    this.rename(saved?.renames);
    this.limits = new RateLimits(options.limits);
    this.faults = new Faults(seed);
    this.deliveries = new Deliveries(
      this.clock,
      this.schedule,
      this.keys,
      options.webhookTarget ?? undefined,
      (delivery) => this.keeper.delivery(delivery),
    );
  }

  get seed(): string {
    return this.ids.seed;
  }

  /** Adds an Item, or one that a state file knew. */
  add(item: Item): void {
    this.items.set(item.id, item);
    this.byAccessToken.set(item.facts.accessToken, item);
    this.connections.add(item);
  }

  /** The Item of an access token; unknown tokens are INVALID_ACCESS_TOKEN, those of removed Items ITEM_NOT_FOUND. */
  itemByToken(token: string, clientId: string | null): Item {
    const item = this.byAccessToken.get(token);
    if (!item || (item.facts.clientId !== null && item.facts.clientId !== clientId)) {
      throw new PlaidApiError(
        'INVALID_ACCESS_TOKEN',
        /^access-(sandbox|production)-/.test(token)
          ? undefined
          : 'provided access token is in an invalid format. expected format: access-<environment>-<identifier>',
      );
    }
    if (item.facts.removedAt !== null) throw new PlaidApiError('ITEM_NOT_FOUND');
    return item;
  }

  /** The Item that a request is about, if that is known; for counting only. */
  findByToken(token: unknown): Item | undefined {
    return typeof token === 'string' ? this.byAccessToken.get(token) : undefined;
  }

  /** A new access token; the old one is unknown at once. */
  renewAccessToken(item: Item): string {
    this.byAccessToken.delete(item.facts.accessToken);
    item.facts.accessToken = `access-sandbox-${this.ids.uuid('access')}`;
    this.byAccessToken.set(item.facts.accessToken, item);
    this.keeper.world();
    this.keeper.item(item);
    return item.facts.accessToken;
  }

  /** An empty world of this seed; keys and clients stay. */
  reset(seed: string | undefined, scale: number | undefined): void {
    this.schedule.clear();
    this.deliveries.clear();
    this.items.clear();
    this.connections.clear();
    this.byAccessToken.clear();
    this.publicTokens.clear();
    this.linkTokens.clear();
    this.linkSessions.clear();
    this.reports.clear();
    this.calls.clear();
    this.limits.clear();
    const next = seed ?? this.seed;
    this.faults.clear(next);
    this.ids = new IdFactory(next);
    this.institutions = new InstitutionCatalogue(next, this.options.institutions);
    this.clock.restart(this.startOfTime(scale ?? this.clock.scale));
    this.keeper.reset();
  }

  /**
   * Another world's seed, time and keys in an otherwise empty one. Simulated time goes on from that world's moment. Keys that are
   * none throw before anything has changed.
   */
  replace({ seed, issued, clock, keys, renames }: SavedWorld): void {
    this.keys.restore(keys);
    this.reset(seed, clock.scale);
    this.rename(renames);
    this.ids = new IdFactory(seed, issued);
    this.clock.restart({ simBase: clock.simBase, scale: clock.scale });
    this.keeper.world();
  }

  async close(): Promise<void> {
    await this.schedule.close();
    this.deliveries.close();
  }

  private rename(renames: SavedWorld['renames'] = []): void {
    for (const [old, present] of renames) this.institutions.rename(old, present);
  }

  private startOfTime(scale: number) {
    return this.options.now === null ? { scale } : { simBase: this.options.now, scale };
  }
}
