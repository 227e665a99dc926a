import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import ts from 'typescript';

/** Plaid's published types, read from the declarations of the official client. */
const DECLARATIONS = createRequire(import.meta.url)
  .resolve('plaid')
  .replace(/index\.js$/, 'api.d.ts');

/** What Plaid publishes in clients newer than the one here: plaid-python 46.0.0, API 2020-09-14_1.778.0. */
const NEWER = `
  interface Institution { connection_availability: 'SUPPORTED' | 'NOT_SUPPORTED'; }
`;

type Declared = ts.InterfaceDeclaration | ts.TypeAliasDeclaration | ts.EnumDeclaration;

/** One field of a published object. */
export interface PublishedField {
  name: string;
  required: boolean;
  type: ts.TypeNode;
}

/** The names of the types of one endpoint. */
interface EndpointTypes {
  request: string;
  response: string;
}

/**
 * Plaid's types at run time. `check` compares a value with one of them: required members, types, nullability, values of enums, and
 * members that Plaid does not publish.
 */
export class PlaidTypes {
  private readonly declared = new Map<string, Declared>();
  private readonly newer = new Map<string, PublishedField[]>();
  private readonly methods = new Map<string, EndpointTypes>();

  constructor() {
    const source = ts.createSourceFile(
      DECLARATIONS,
      readFileSync(DECLARATIONS, 'utf8'),
      ts.ScriptTarget.ES2022,
      true,
    );
    for (const statement of source.statements) {
      if (ts.isClassDeclaration(statement) && statement.name?.text === 'PlaidApi')
        this.readMethods(statement);
      if (
        ts.isInterfaceDeclaration(statement) ||
        ts.isTypeAliasDeclaration(statement) ||
        ts.isEnumDeclaration(statement)
      ) {
        this.declared.set(statement.name.text, statement);
      }
    }
    this.readNewer();
  }

  private readNewer(): void {
    const source = ts.createSourceFile('newer.d.ts', NEWER, ts.ScriptTarget.ES2022, true);
    for (const statement of source.statements) {
      if (ts.isInterfaceDeclaration(statement))
        this.newer.set(statement.name.text, membersOf(statement.members));
    }
  }

  /** The types of an endpoint by its path; the official client names its methods after the paths, but for one. */
  endpoint(path: string): EndpointTypes {
    const named = path
      .slice(1)
      .split(/[/_]/)
      .map((word, index) => (index === 0 ? word : word.charAt(0).toUpperCase() + word.slice(1)))
      .join('');
    const method = named === 'itemPublicTokenCreate' ? 'itemCreatePublicToken' : named;
    const types = this.methods.get(method);
    if (!types) throw new Error(`Plaid publishes no endpoint ${path}`);
    return types;
  }

  /** The fields of an object type, inherited ones included. */
  fields(name: string): PublishedField[] {
    const declaration = this.declared.get(name);
    if (!declaration || !ts.isInterfaceDeclaration(declaration)) return [];
    const inherited = (declaration.heritageClauses ?? []).flatMap((clause) =>
      clause.types.flatMap((base) => this.fields(textOf(base.expression))),
    );
    return [...inherited, ...membersOf(declaration.members), ...(this.newer.get(name) ?? [])];
  }

  /** The name of the object type that a field holds, alone or in a list. */
  objectIn(node: ts.TypeNode): string | undefined {
    if (ts.isUnionTypeNode(node)) return node.types.map((part) => this.objectIn(part)).find(Boolean);
    if (!ts.isTypeReferenceNode(node)) return undefined;
    const element = node.typeArguments?.[0];
    if (element) return this.objectIn(element);
    const declaration = this.declared.get(textOf(node.typeName));
    return declaration && ts.isInterfaceDeclaration(declaration) ? declaration.name.text : undefined;
  }

  /** May a field of this type have this value? */
  allows(field: PublishedField, value: unknown): boolean {
    return this.checkNode(value, field.type, field.name).length === 0;
  }

  /** Everything about `value` that is not as the type says, one sentence each. */
  check(value: unknown, typeName: string, at = typeName): string[] {
    const declaration = this.declared.get(typeName);
    if (!declaration) throw new Error(`Plaid publishes no type ${typeName}`);
    if (ts.isEnumDeclaration(declaration)) {
      const values = declaration.members.map((member) => literalOf(member.initializer));
      return values.includes(value as string)
        ? []
        : [`${at}: ${JSON.stringify(value)} is not of ${typeName}`];
    }
    if (ts.isTypeAliasDeclaration(declaration)) return this.checkNode(value, declaration.type, at);
    const index = declaration.members.find(ts.isIndexSignatureDeclaration);
    return this.checkObject(value, this.fields(typeName), index?.type, at);
  }

  private readMethods(api: ts.ClassDeclaration): void {
    for (const member of api.members) {
      if (!ts.isMethodDeclaration(member) || !ts.isIdentifier(member.name)) continue;
      const request = member.parameters[0]?.type;
      const response = member.type && /AxiosResponse<(\w+)/.exec(textOf(member.type))?.[1];
      if (request && response) this.methods.set(member.name.text, { request: textOf(request), response });
    }
  }

  private checkObject(
    value: unknown,
    fields: readonly PublishedField[],
    others: ts.TypeNode | undefined,
    at: string,
  ): string[] {
    if (typeof value !== 'object' || value === null || Array.isArray(value)) {
      return [`${at}: ${JSON.stringify(value)} is no object`];
    }
    const members = new Map(Object.entries(value));
    const known = new Set(fields.map(({ name }) => name));
    return [
      ...fields.flatMap((field) => {
        const place = `${at}.${field.name}`;
        if (members.has(field.name)) return this.checkNode(members.get(field.name), field.type, place);
        return field.required ? [`${place} is missing`] : [];
      }),
      ...[...members].flatMap(([name, member]) => {
        if (known.has(name)) return [];
        return others ? this.checkNode(member, others, `${at}.${name}`) : [`${at}.${name} is not published`];
      }),
    ];
  }

  private checkNode(value: unknown, node: ts.TypeNode, at: string): string[] {
    const wrong = (what: string) => [`${at}: ${JSON.stringify(value)} is no ${what}`];
    if (ts.isUnionTypeNode(node)) {
      const tries = node.types.map((type) => this.checkNode(value, type, at));
      if (tries.some((found) => found.length === 0)) return [];
      // An object that fits nearly says more than that it is not null.
      return tries.reduce((best, found) => (found.length > best.length ? found : best), []);
    }
    if (ts.isIntersectionTypeNode(node)) return this.checkIntersection(value, node, at);
    if (ts.isParenthesizedTypeNode(node)) return this.checkNode(value, node.type, at);
    if (ts.isArrayTypeNode(node)) return this.checkArray(value, node.elementType, at);
    if (ts.isTypeLiteralNode(node)) {
      const index = node.members.find(ts.isIndexSignatureDeclaration);
      return this.checkObject(value, membersOf(node.members), index?.type, at);
    }
    if (ts.isLiteralTypeNode(node)) {
      if (node.literal.kind === ts.SyntaxKind.NullKeyword) return value === null ? [] : wrong('null');
      return value === literalOf(node.literal) ? [] : wrong(textOf(node));
    }
    if (ts.isTypeReferenceNode(node)) {
      const name = textOf(node.typeName);
      const element = node.typeArguments?.[0];
      if ((name === 'Array' || name === 'Set') && element) return this.checkArray(value, element, at);
      return this.check(value, name, at);
    }
    switch (node.kind) {
      case ts.SyntaxKind.StringKeyword:
        return typeof value === 'string' ? [] : wrong('string');
      case ts.SyntaxKind.NumberKeyword:
        return typeof value === 'number' ? [] : wrong('number');
      case ts.SyntaxKind.BooleanKeyword:
        return typeof value === 'boolean' ? [] : wrong('boolean');
      case ts.SyntaxKind.ObjectKeyword:
        return typeof value === 'object' && value !== null ? [] : wrong('object');
      case ts.SyntaxKind.AnyKeyword:
      case ts.SyntaxKind.UnknownKeyword:
        return [];
      default:
        throw new Error(`${at}: this test cannot read the type ${textOf(node)}`);
    }
  }

  private checkArray(value: unknown, element: ts.TypeNode, at: string): string[] {
    if (!Array.isArray(value)) return [`${at}: ${JSON.stringify(value)} is no array`];
    return value.flatMap((entry: unknown, index) => this.checkNode(entry, element, `${at}[${index}]`));
  }

  private checkIntersection(value: unknown, node: ts.IntersectionTypeNode, at: string): string[] {
    const fields = node.types.flatMap((part) => {
      if (ts.isTypeLiteralNode(part)) return membersOf(part.members);
      return ts.isTypeReferenceNode(part) ? this.fields(textOf(part.typeName)) : [];
    });
    return this.checkObject(value, fields, undefined, at);
  }
}

function textOf(node: ts.Node): string {
  return node.getText();
}

function literalOf(node: ts.Node | undefined): string | number | boolean | undefined {
  if (!node) return undefined;
  if (ts.isStringLiteral(node)) return node.text;
  if (ts.isNumericLiteral(node)) return Number(node.text);
  if (node.kind === ts.SyntaxKind.TrueKeyword) return true;
  if (node.kind === ts.SyntaxKind.FalseKeyword) return false;
  return undefined;
}

function membersOf(members: ts.NodeArray<ts.TypeElement>): PublishedField[] {
  return members.flatMap((member) => {
    if (!ts.isPropertySignature(member) || !member.type) return [];
    const name =
      ts.isStringLiteral(member.name) || ts.isIdentifier(member.name)
        ? member.name.text
        : textOf(member.name);
    return [{ name, required: member.questionToken === undefined, type: member.type }];
  });
}
