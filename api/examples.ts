import type { ProblemOptions } from './errors.js';
import { Problem } from './errors.js';
import type { ProblemCode } from './problems.js';
import { isProblemCode, problemTypes } from './problems.js';

/** A part of an OpenAPI document. */
export type Node = Record<string, unknown>;
type Example = { summary?: string; value: unknown };

export const isNode = (value: unknown): value is Node => typeof value === 'object' && value !== null;

const ofPlaid = (error_type: string, error_code: string): ProblemOptions => ({
  plaid: { error_type, error_code, request_id: 'm8MDnv9okwxFNBV' },
});

/** What stands in some problems beside what stands in all. */
const particulars: Partial<Record<ProblemCode, ProblemOptions>> = {
  invalid_request: { errors: [{ in: 'query', pointer: '/unknown', detail: 'is not known here' }] },
  invalid_cursor: {
    errors: [{ in: 'query', pointer: '/cursor', detail: 'is not a cursor of this list and these filters' }],
  },
  duplicate_item: { members: { item_id: 'Ed6bjNrDLJfGvZWwnkQlfxwoNz54B5C97ejBr' } },
  not_ready: { members: { dependencies: { postgresql: { status: 'up' }, temporal: { status: 'down' } } } },
  login_required: ofPlaid('ITEM_ERROR', 'ITEM_LOGIN_REQUIRED'),
  invalid_public_token: ofPlaid('INVALID_INPUT', 'INVALID_PUBLIC_TOKEN'),
  unknown_institution: ofPlaid('INVALID_INPUT', 'INVALID_INSTITUTION'),
  plaid_refused: ofPlaid('ITEM_ERROR', 'ITEM_NOT_FOUND'),
  institution_unavailable: ofPlaid('INSTITUTION_ERROR', 'INSTITUTION_DOWN'),
  plaid_busy: ofPlaid('RATE_LIMIT_EXCEEDED', 'TRANSACTIONS_LIMIT'),
};

/** A problem as this API answers it. */
function problemExample(code: ProblemCode): Example {
  const body = new Problem(code, particulars[code]).body(
    '/v1/users/user-42/items',
    '7a0c5a57-1d5f-4a49-9a8b-0f7f4c1b8f0e',
  );
  return { summary: problemTypes[code].title, value: JSON.parse(body) };
}

/**
 * Puts examples beside the schemas of all answers, in place: those of the schema itself, and for each problem one of its own.
 * Returns the examples that the document has to hold as components, by name.
 */
export function addExamples(operations: readonly Node[], schemas: Node): Record<string, Example> {
  const components: Record<string, Example> = {};
  const shared = (name: string, example: Example): [string, Node] => {
    components[name] = example;
    return [name, { $ref: `#/components/examples/${name}` }];
  };

  function examplesOf(description: string, type: string, schema: Node): [string, Node][] {
    if (type === 'application/problem+json') {
      // As `addProblems` wrote them: the generators between here and there keep nothing else of an answer.
      const codes = [...description.matchAll(/^`(\w+)`: /gm)].map(([, code]) => String(code));
      return codes.filter(isProblemCode).map((code) => shared(code, problemExample(code)));
    }
    const reference = typeof schema['$ref'] === 'string' ? schema['$ref'].split('/').pop() : undefined;
    const described = reference === undefined ? schema : schemas[reference];
    const examples = isNode(described) && Array.isArray(described['examples']) ? described['examples'] : [];
    return examples.map((value: unknown, index) => {
      const name = index === 0 ? 'Example' : `Example${index + 1}`;
      return reference === undefined ? [name, { value }] : shared(`${reference}${name}`, { value });
    });
  }

  for (const operation of operations) {
    for (const response of Object.values(isNode(operation['responses']) ? operation['responses'] : {})) {
      if (!isNode(response) || !isNode(response['content'])) continue;
      for (const [type, media] of Object.entries(response['content'])) {
        if (!isNode(media) || !isNode(media['schema'])) continue;
        const examples = examplesOf(String(response['description']), type, media['schema']);
        if (examples.length > 0) media['examples'] = Object.fromEntries(examples);
      }
    }
  }
  return components;
}
