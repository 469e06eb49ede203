/** JSON Schemas that callers send: what is no schema is refused here, by its place, and not by an engine that works on it. */
import * as v from 'valibot';

export const jsonObject = v.pipe(
  v.record(v.string(), v.unknown(), 'must be an object.'),
  v.check((value) => !Array.isArray(value), 'must be an object.'),
);

const TYPES = ['string', 'number', 'integer', 'boolean', 'object', 'array', 'null'];
/** Keywords that hold a schema, a list of them, or schemas by name. https://json-schema.org/draft/2020-12/json-schema-core#section-10 */
const ONE = ['items', 'additionalProperties', 'not', 'contains', 'propertyNames', 'if', 'then', 'else', 'unevaluatedProperties'];
const LIST = ['anyOf', 'oneOf', 'allOf', 'prefixItems'];
const NAMED = ['properties', 'patternProperties', '$defs', 'definitions', 'dependentSchemas'];

export const jsonSchema = v.pipe(
  jsonObject,
  v.rawCheck(({ dataset, addIssue }) => {
    const problem = dataset.typed ? findProblem(dataset.value) : undefined;
    if (problem !== undefined) addIssue({ message: problem });
  }),
);

interface Place {
  readonly schema: unknown;
  readonly path: readonly string[];
}

function findProblem(root: unknown): string | undefined {
  const waiting: Place[] = [{ schema: root, path: [] }];
  for (let place = waiting.pop(); place !== undefined; place = waiting.pop()) {
    const { schema, path } = place;
    const name = path.length === 0 ? 'the schema' : `\`${path.join('.').slice(0, 100)}\``;
    if (typeof schema === 'boolean') continue;
    if (!isRecord(schema)) return `${name} must be a JSON schema: an object or a boolean.`;
    const { type } = schema;
    const types: readonly unknown[] = Array.isArray(type) ? type : type === undefined ? [] : [type];
    if (!types.every((one) => typeof one === 'string' && TYPES.includes(one))) {
      return `${name} has a \`type\` that is none of JSON Schema's: ${TYPES.join(', ')}.`;
    }
    waiting.push(...childrenOf(schema, path));
  }
  return undefined;
}

function childrenOf(schema: Readonly<Record<string, unknown>>, path: readonly string[]): Place[] {
  return Object.entries(schema).flatMap(([keyword, value]): Place[] => {
    const at = (key: string, child: unknown): Place => ({ schema: child, path: [...path, keyword, key] });
    if (LIST.includes(keyword)) return Array.isArray(value) ? value.map((child, index) => at(String(index), child)) : [];
    if (NAMED.includes(keyword)) return isRecord(value) ? Object.entries(value).map(([key, child]) => at(key, child)) : [];
    // Before 2020 `items` was a list too.
    if (!ONE.includes(keyword) || Array.isArray(value)) return [];
    return [{ schema: value, path: [...path, keyword] }];
  });
}

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
