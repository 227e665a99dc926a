import type { InjectOptions } from 'fastify';
import type { buildApp } from '../../api/app.js';

type Method = NonNullable<Extract<InjectOptions['method'], 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE'>>;

export interface DescribedOperation {
  method: Method;
  /** As OpenAPI writes it. */
  path: string;
  /** With values for the parameters. */
  url: string;
  /** null = open to everybody. */
  scope: string | null;
  /** Each of which will do. */
  scopes: string[];

  definition: any;
}

export async function documentOf(app: ReturnType<typeof buildApp>): Promise<any> {
  return (await app.inject('/openapi.json')).json();
}

const values: Record<string, string> = {
  userId: 'user-1',
  itemId: 'item-1',
  institutionId: 'ins_1',
  id: 'app-1',
  code: 'not_found',
};

export function operationsOf(document: any): DescribedOperation[] {
  return Object.entries(document.paths as Record<string, Record<string, unknown>>).flatMap(
    ([path, methods]) =>
      Object.entries(methods).map(([method, definition]: [string, any]) => ({
        method: method.toUpperCase() as Method,
        path,
        url: path.replace(/\{(\w+)\}/g, (_, name: string) => values[name] ?? 'x'),
        scope: definition.security[0]?.ApiKey?.[0] ?? null,
        scopes: definition.security.flatMap(({ ApiKey = [] }: { ApiKey?: string[] }) => ApiKey),
        definition,
      })),
  );
}
