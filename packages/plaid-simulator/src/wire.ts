/**
 * Plaid's own types as they travel in JSON. The official package declares its enums as TypeScript enums, to which a
 * string literal cannot be assigned although that is what is sent: `Wire<T>` turns every enum into the union of its values
 * and leaves everything else alone. Source of the shapes: the `plaid` package (types only; no code of it runs here).
 */
import type {
  AccountBase,
  AccountAssets,
  AccountIdentity,
  AssetReport,
  AuthGetNumbers,
  Category,
  CreditCardLiability,
  Enrichments,
  Holding,
  Institution,
  InvestmentAccount,
  InvestmentTransaction,
  Item,
  ItemStatusNullable,
  ItemWithConsentFields,
  LiabilitiesObject,
  LinkTokenGetResponse,
  JWKPublicKey,
  MortgageLiability,
  Owner,
  PlaidError,
  RemovedTransaction,
  Security,
  StudentLoan,
  Transaction,
  TransactionStream,
} from 'plaid';

type Wire<T> = T extends string
  ? `${T}`
  : T extends readonly (infer U)[]
    ? Wire<U>[]
    : T extends object
      ? { [K in keyof T]: Wire<T[K]> }
      : T;

/** `T` with the optional fields `K`, which Plaid always sends, made compulsory: one that is forgotten does not compile. */
type Always<T, K extends keyof T> = T & { [P in K]-?: Exclude<T[P], undefined> };

export type WireAccount = Wire<AccountBase>;
export type WireAccountIdentity = Wire<AccountIdentity>;
export type WireOwner = Wire<Owner>;
export type WireNumbers = Wire<AuthGetNumbers>;
/** `connection_availability` is newer than the types of npm `plaid` 47: Plaid's clients of API 1.778.0 (plaid-python 46) refuse an institution without it. */
export type WireInstitution = Wire<Institution> & { connection_availability: 'SUPPORTED' | 'NOT_SUPPORTED' };
export type WireItem = Always<
  Wire<Item>,
  'institution_id' | 'institution_name' | 'auth_method' | 'products' | 'consented_products'
>;
export type WireItemWithConsent = Always<
  Wire<ItemWithConsentFields>,
  'institution_id' | 'institution_name' | 'auth_method' | 'products' | 'consented_products' | 'created_at'
>;
export type WireItemStatus = Wire<ItemStatusNullable>;
export type WirePlaidError = Wire<PlaidError>;
export type WireLinkToken = Wire<LinkTokenGetResponse>;
export type WireLinkSession = NonNullable<WireLinkToken['link_sessions']>[number];
export type WireKey = Wire<JWKPublicKey>;
export type WireEnrichments = Always<Wire<Enrichments>, 'entity_id' | 'check_number'>;
export type WireLegacyCategory = Wire<Category>;
export type WireTransactionStream = Wire<TransactionStream>;
export type WireInvestmentAccount = Wire<InvestmentAccount>;
export type WireHolding = Wire<Holding>;
export type WireSecurity = Wire<Security>;
export type WireInvestmentTransaction = Wire<InvestmentTransaction>;
export type WireLiabilities = Wire<LiabilitiesObject>;
export type WireCreditLiability = Wire<CreditCardLiability>;
export type WireMortgage = Wire<MortgageLiability>;
export type WireStudentLoan = Wire<StudentLoan>;
export type WireAssetReport = Wire<AssetReport>;
export type WireAssetAccount = Wire<AccountAssets>;
export type WireRemoved = Wire<RemovedTransaction>;

/** A transaction as `/transactions/sync` sends it; `original_description` is kept apart because only a request that asks gets it. */
export type WireTransaction = Always<
  Omit<Wire<Transaction>, 'original_description' | 'business_finance_category' | 'client_customization'>,
  | 'category'
  | 'category_id'
  | 'check_number'
  | 'counterparties'
  | 'logo_url'
  | 'merchant_entity_id'
  | 'merchant_name'
  | 'personal_finance_category'
  | 'personal_finance_category_icon_url'
  | 'transaction_type'
  | 'website'
>;
