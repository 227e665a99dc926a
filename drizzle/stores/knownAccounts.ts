import type { KnownAccount } from '../../domain/exchange/carriedAccounts.js';
import { counterpartOf, identityOf, lackedBy } from '../../domain/mining/accounts.js';
import type { AccountIdentity } from '../../domain/mining/accounts.js';
import { jsonbText } from '../jsonText.js';
import { firstOf } from '../rows.js';
import type { Tx } from '../rows.js';
import { accountIdentities, accounts, links } from '../schema.js';
import { selection } from '../selection.js';
import type { Selected } from '../selection.js';

const known = selection(accountIdentities, ['persistent_account_id', 'mask', 'name', 'type', 'subtype']);
const stored = selection(accounts, ['account_id', 'raw', 'status'], { heir: 'replaced_by' });
const offering = selection(links, ['accounts']);

/** The Item's open accounts. They stand there from the linking on, when the accounts may not. */
export const identitiesOf = (tx: Tx, itemId: string) => tx<Selected<typeof known>[]>`
  SELECT ${known.list(tx)} FROM account_identities WHERE item_id = ${itemId}`;

/** Replaces what the duplicate guard knows of the Item's accounts. */
export async function writeIdentities(
  tx: Tx,
  itemId: string,
  identities: readonly AccountIdentity[],
): Promise<void> {
  await tx`DELETE FROM account_identities WHERE item_id = ${itemId}`;
  await tx`
    INSERT INTO account_identities (item_id, position, persistent_account_id, mask, name, type, subtype)
    SELECT ${itemId}, e.ord, c.*
    FROM jsonb_array_elements(${jsonbText(identities)}::text::jsonb)
      WITH ORDINALITY AS e(value, ord),
      jsonb_to_record(e.value) AS c(persistent_account_id text, mask text, name text, type text, subtype text)`;
}

/** An account of the Item's; `heir`: the one that has taken its place. */
export type OwnAccount = AccountIdentity & {
  account_id: string;
  identity: AccountIdentity;
  open: boolean;
  heir: string | null;
};

export async function rowsOf(tx: Tx, itemId: string): Promise<OwnAccount[]> {
  const rows = await tx<Selected<typeof stored>[]>`
    SELECT ${stored.list(tx)} FROM accounts WHERE item_id = ${itemId} ORDER BY account_id`;
  return rows.map(({ account_id, raw, status, heir }) => {
    const identity = identityOf(raw);
    return { ...identity, account_id, identity, open: status === 'open', heir };
  });
}

/** The accounts of an Item as far as they are known: listed by Plaid, else known since it was linked. */
export async function knownAccounts(tx: Tx, itemId: string): Promise<KnownAccount[]> {
  const rows = await rowsOf(tx, itemId);
  const link = firstOf(
    await tx<Selected<typeof offering>[]>`
    SELECT ${offering.list(tx, 'l')} FROM items i JOIN links l ON l.token_hash = i.token_hash WHERE i.item_id = ${itemId}`,
  );
  const lacking = lackedBy(rows, await identitiesOf(tx, itemId));
  const isListed = (id: string | null): boolean => rows.some(({ account_id }) => account_id === id);
  const named = (link?.accounts ?? []).map((one) => ({ id: one.id ?? null, ...identityOf(one) }));
  const left = named.filter(({ id }) => !isListed(id));
  return [
    ...rows.map(({ account_id: id, identity, heir }) => ({ id, identity, past: heir !== null })),
    ...lacking.map((identity) => ({ id: idOf(identity, lacking, left), identity, unlisted: true })),
  ];
}

const textOf = ({ persistent_account_id, mask, name, type, subtype }: AccountIdentity): string =>
  JSON.stringify([persistent_account_id, mask, name, type, subtype]);

/** The id of an account of these under which it is `named`. Of as many that nothing tells apart each has one, whichever; null = nobody knows. */
function idOf(
  identity: AccountIdentity,
  identities: readonly AccountIdentity[],
  named: readonly (AccountIdentity & { id: string | null })[],
): string | null {
  const one = counterpartOf(identity, identities, named);
  if (one !== null) return one.id;
  const isAlike = (other: AccountIdentity): boolean => textOf(other) === textOf(identity);
  const [own, ids] = [identities.filter(isAlike), named.filter(isAlike)];
  return own.length === ids.length ? (ids[own.indexOf(identity)]?.id ?? null) : null;
}
