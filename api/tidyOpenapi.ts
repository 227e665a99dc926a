import type { Node } from './examples.js';
import { addExamples, isNode } from './examples.js';

/** Component names that `root` refers to, directly or through other components. */
function referredTo(root: unknown, schemas: Node): Set<string> {
  const found = new Set<string>();
  const visit = (value: unknown): void => {
    for (const [, name] of JSON.stringify(value).matchAll(/"#\/components\/schemas\/([^"]+)"/g)) {
      if (name === undefined || found.has(name)) continue;
      found.add(name);
      if (schemas[name] !== undefined) visit(schemas[name]);
    }
  };
  visit(root);
  return found;
}

/** Answers may gain fields: a client that was generated from this document must not refuse them. */
export function open(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(open);
  if (!isNode(value)) return value;
  const entries = Object.entries(value).filter(
    ([key, child]) => !(key === 'additionalProperties' && child === false),
  );
  return Object.fromEntries(entries.map(([key, child]) => [key, open(child)]));
}

const titled = (header: string): string => header.replace(/(^|-)[a-z]/g, (start) => start.toUpperCase());

/** zod drops the default of a parameter that it converts, so the schemas say it under a name of their own. */
function tidyParameter(parameter: Node): Node {
  const {
    style,
    explode,
    'x-default': byDefault,
    ...schema
  } = isNode(parameter['schema']) ? parameter['schema'] : {};
  return {
    ...parameter,
    // Field names of headers are validated in lower case, and known in another.
    ...(parameter['in'] === 'header' ? { name: titled(String(parameter['name'])) } : {}),
    schema: byDefault === undefined ? schema : { ...schema, default: byDefault },
    ...(style === undefined ? {} : { style }),
    ...(explode === undefined ? {} : { explode }),
  };
}

function tidyBody(body: Node): Node {
  const media = isNode(body['content']) ? Object.values(body['content']).filter(isNode) : [];
  const optional = media.some(
    ({ schema }) => isNode(schema) && (schema['default'] !== undefined || !('type' in schema)),
  );
  return { ...body, required: !optional };
}

function tidyOperation(operation: Node): Node {
  const parameters = (operation['parameters'] as Node[] | undefined)?.map(tidyParameter);
  const responses = open(operation['responses']) as Node;
  // A 204 has no body, not an empty one.
  if (isNode(responses['204'])) delete responses['204']['content'];
  const body = operation['requestBody'];
  return {
    ...operation,
    ...(parameters === undefined ? {} : { parameters }),
    ...(isNode(body) ? { requestBody: tidyBody(body) } : {}),
    responses,
  };
}

/** Mends what the generators cannot say, and drops the components that nothing uses. */
export function tidyOpenapi<Document extends object>(document: Document): Document {
  const { paths, components = {} } = document as {
    paths: Record<string, Record<string, Node>>;
    components?: Node;
  };
  const tidy = Object.fromEntries(
    Object.entries(paths).map(([path, methods]) => [
      path,
      Object.fromEntries(
        Object.entries(methods).map(([method, operation]) => [method, tidyOperation(operation)]),
      ),
    ]),
  );
  const all = (components['schemas'] ?? {}) as Node;
  const used = referredTo(tidy, all);
  // Every component describes an answer: bodies and parameters are written where they are used. Sorted, so that their order does
  // not hang on which file was loaded first.
  const schemas = Object.fromEntries(
    Object.entries(all)
      .filter(([name]) => used.has(name))
      .sort(([one], [other]) => (one < other ? -1 : 1))
      .map(([name, schema]) => [name, open(schema)]),
  );
  const examples = addExamples(Object.values(tidy).flatMap(Object.values), schemas);
  return { ...document, paths: tidy, components: { ...components, schemas, examples } };
}
