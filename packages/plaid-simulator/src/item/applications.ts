import { PlaidApiError } from '../errors.js';
import { civilDate, instant } from '../calendar.js';
import type { PublicToken } from '../tokens.js';
import type { World } from '../world.js';
import { grantAccounts, withdrawAccounts } from './bankAccounts.js';
import { noteConsent } from './consentEvents.js';
import { translateId } from './translated.js';
import type { Item } from './item.js';
import { logIn } from './login.js';
import { isSeen, PRODUCT_ACCESS, type AccountScope, type Scopes } from './scopes.js';

/** Days of history at the bank of a user whom nobody has asked for transactions yet. */
const MOST_DAYS = 730;

/** An application as Plaid describes it to the bank's user. */
interface ApplicationView {
  application_id: string;
  name: string;
  display_name: string | null;
  logo_url: string | null;
  application_url: string | null;
  reason_for_access: string | null;
}

interface ConnectedView extends ApplicationView {
  /** ISO 8601, UTC. */
  created_at: string;
  scopes: Scopes & { accounts: AccountScope[] };
}

/** What a bank asks for with `/item/import`: its user `userId`. */
export interface ImportRequest {
  institutionId: string;
  userId: string;
  products: Item['facts']['products'];
  webhook: string | null;
  clientId: string | null;
  application: string;
}

/** The Item by which a bank speaks about one of its users; asked for again, it is the same one. */
export function importItem(world: World, request: ImportRequest): Item {
  for (const known of world.items.values()) {
    const { facts } = known;
    if (!facts.imported || facts.removedAt !== null || facts.username !== request.userId) continue;
    if (known.bankId !== world.institutions.get(request.institutionId)?.bankId) continue;
    if (facts.application?.id === request.application) return known;
  }
  const token = logIn(world, {
    institutionId: request.institutionId,
    username: request.userId,
    password: '',
    products: request.products,
    webhook: request.webhook,
    daysRequested: MOST_DAYS,
    clientId: request.clientId,
    application: { id: request.application, name: request.application },
    imported: true,
  });
  return takeAtOnce(world, token);
}

/** The Item of a login without Link: its ids go out in the answer, there is nothing to exchange. */
export function takeAtOnce(world: World, token: PublicToken): Item {
  const item = world.items.get(token.itemId);
  if (!item) throw new PlaidApiError('INTERNAL_SERVER_ERROR');
  token.used = true;
  item.facts.exchanged = true;
  world.keeper.publicToken(token);
  world.keeper.item(item);
  return item;
}

/** The applications through which the user of this Item has let anybody in, and those that are let in no more. */
export function listApplications(
  world: World,
  item: Item,
): { applications: ConnectedView[]; disconnected_applications: ApplicationView[] } {
  const connected = applicationItems(world, item);
  const living = new Set(connected.map(({ facts }) => facts.application?.id));
  const gone = new Map<string, ApplicationView>();
  for (const member of world.connections.members(item)) {
    const application = view(member);
    if (!application || member.facts.imported || !member.facts.exchanged) continue;
    if (!living.has(application.application_id)) gone.set(application.application_id, application);
  }
  return {
    applications: connected.flatMap((member) => {
      const application = view(member);
      return application
        ? [{ ...application, created_at: instant(member.facts.createdAt), scopes: scopesOf(member) }]
        : [];
    }),
    disconnected_applications: [...gone.values()],
  };
}

/** An application as Plaid publishes it: what it has told of itself here is a name, and its first Item tells since when it is there. */
export function describeApplication(world: World, applicationId: string) {
  const items = [...world.items.values()].filter(({ facts }) => facts.application?.id === applicationId);
  const latest = items.at(-1);
  const isClient = Object.hasOwn(world.options.clients, applicationId);
  if (!latest && !isClient) throw new PlaidApiError('INVALID_FIELD', 'application_id is not known');
  const name = latest?.facts.application?.name ?? applicationId;
  return {
    application_id: applicationId,
    name,
    display_name: name,
    join_date: civilDate(items[0]?.facts.createdAt ?? world.clock.now()),
    logo_url: null,
    application_url: null,
    reason_for_access: null,
    use_case: null,
    company_legal_name: null,
    city: null,
    region: null,
    postal_code: null,
    country_code: null,
  };
}

/** The Item of the application of this id among those that are connected with the user of `item`. */
export function applicationItem(world: World, item: Item, applicationId: string): Item {
  const found = applicationItems(world, item).find(({ facts }) => facts.application?.id === applicationId);
  if (!found) {
    throw new PlaidApiError('INVALID_FIELD', 'application_id: the user has not connected this application');
  }
  return found;
}

/** The living Items through which applications see what the user of `item` has at the bank. */
export function applicationItems(world: World, item: Item): Item[] {
  return world.connections
    .connected(item)
    .filter(({ facts }) => !facts.imported && facts.exchanged && facts.application !== null);
}

function view({ facts }: Item): ApplicationView | null {
  return (
    facts.application && {
      application_id: facts.application.id,
      name: facts.application.name,
      display_name: facts.application.name,
      logo_url: null,
      application_url: null,
      reason_for_access: null,
    }
  );
}

function scopesOf(item: Item): ConnectedView['scopes'] {
  const { scopes, offered, withdrawn, idKey } = item.facts;
  const account = (accountId: string, seen: boolean): AccountScope => {
    const unique_id = translateId(accountId, idKey, null);
    const said = scopes?.accounts?.find((scope) => scope.unique_id === unique_id);
    const access = said?.account_product_access;
    if (!said || !access) return { unique_id, authorized: seen };
    if (seen) return { ...said, authorized: true, account_product_access: { ...access, account_data: true } };
    return isSeen(said) ? { ...said, authorized: false } : said;
  };
  return {
    product_access: {
      ...Object.fromEntries(PRODUCT_ACCESS.map((name) => [name, true])),
      ...scopes?.product_access,
    },
    accounts: [
      ...item.openAccounts.map(({ account: { account_id } }) => account(account_id, true)),
      ...withdrawn.map((accountId) => account(accountId, false)),
      ...offered.map(({ bankAccount }) => account(bankAccount.account.account_id, false)),
    ],
    new_accounts: scopes?.new_accounts ?? true,
  };
}

/** What the user allows an application at the bank, whose client is `initiator`, changes; what is not named stays as it was. */
export function updateScopes(
  world: World,
  item: Item,
  initiator: string,
  change: {
    product_access: Scopes['product_access'];
    accounts: readonly AccountScope[];
    new_accounts: boolean | undefined;
  },
): void {
  const ids = change.accounts.map((scope) => ({
    ...scope,
    id: translateId(scope.unique_id, null, item.facts.idKey),
  }));
  const known = new Set([
    ...item.openAccounts.map(({ account }) => account.account_id),
    ...item.facts.offered.map(({ bankAccount }) => bankAccount.account.account_id),
    ...item.facts.withdrawn,
  ]);
  const unknown = ids.find(({ id }) => !known.has(id));
  if (unknown) {
    throw new PlaidApiError('INVALID_FIELD', `scopes.accounts: there is no account ${unknown.unique_id}`);
  }
  const chosen = (seen: boolean) => ids.filter((scope) => isSeen(scope) === seen).map(({ id }) => id);
  const isOpen = new Set(item.openAccounts.map(({ account }) => account.account_id));
  withdrawAccounts(
    world,
    item,
    chosen(false).filter((id) => isOpen.has(id)),
  );
  grantAccounts(world, item, chosen(true));
  const before = item.facts.scopes;
  item.facts.scopes = {
    product_access: { ...before?.product_access, ...change.product_access },
    new_accounts: change.new_accounts ?? before?.new_accounts ?? true,
    accounts: [
      ...(before?.accounts ?? []).filter(
        ({ unique_id }) => !change.accounts.some((scope) => scope.unique_id === unique_id),
      ),
      ...change.accounts,
    ],
  };
  const now = item.facts.scopes;
  const note = (code: 'ACCOUNT_SCOPES' | 'DATA_SCOPES') =>
    noteConsent(world, item, { type: 'CONSENT_UPDATED', code, by: 'DATA_PROVIDER', initiator, scopes: now });
  const isOfData = Object.keys(change.product_access).length > 0;
  if (isOfData) note('DATA_SCOPES');
  if (!isOfData || change.accounts.length > 0 || change.new_accounts !== undefined) note('ACCOUNT_SCOPES');
  world.keeper.item(item);
}
