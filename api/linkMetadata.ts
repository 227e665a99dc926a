import type { LinkAccount } from '../domain/plaid.js';

/** What a body of POST items says of the link beside the public token: in our fields, or in Link's metadata. */
export interface SaidOfLink {
  institution_id?: string | null | undefined;
  accounts?: readonly unknown[] | null | undefined;
  institution?: unknown;
  institutionId?: unknown;
  metadata?: unknown;
}

const longest = 256;
const mostAccounts = 500;

type Fields = Record<string, unknown>;
const fieldsOf = (value: unknown): Fields =>
  typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as Fields) : {};

/** A text that says something and can be stored; Link on Android gives empty ones for what is not known. */
function sayingText(value: unknown): string | null {
  // Characters, as everywhere: not UTF-16 units.
  if (typeof value !== 'string' || value === '' || [...value].length > longest) return null;
  return value.isWellFormed() && !value.includes('\u0000') ? value : null;
}

/** Link on the web says `institution.institution_id`, on phones `institution.id`. */
function institutionIn(fields: Fields): string | null {
  const institution = fieldsOf(fields['institution']);
  return (
    sayingText(fields['institution_id']) ??
    sayingText(fields['institutionId']) ??
    sayingText(institution['institution_id']) ??
    sayingText(institution['institutionId']) ??
    sayingText(institution['id'])
  );
}

function accountOf(entry: unknown): LinkAccount {
  const { id, mask, name, type, subtype } = fieldsOf(entry);
  const accountId = sayingText(id);
  return {
    ...(accountId === null ? {} : { id: accountId }),
    mask: sayingText(mask),
    name: sayingText(name),
    type: sayingText(type),
    subtype: sayingText(subtype),
  };
}

/** An account that is named twice is one: with it another one that is called the same would count as chosen. */
const isFirst = ({ id }: LinkAccount, place: number, accounts: readonly LinkAccount[]): boolean =>
  id === undefined || accounts.findIndex((other) => other.id === id) === place;

/** The institution and the accounts of a link, as far as the body knows them. Our own fields go before Link's metadata. */
export function linkMetadataOf(body: SaidOfLink): { institution_id: string | null; accounts: LinkAccount[] } {
  const metadata = fieldsOf(body.metadata);
  const listed = body.accounts ?? metadata['accounts'];
  return {
    institution_id: institutionIn({ ...body }) ?? institutionIn(metadata),
    accounts: (Array.isArray(listed) ? (listed as unknown[]) : [])
      .slice(0, mostAccounts)
      .map(accountOf)
      .filter(isFirst),
  };
}
