/** OpenAI's own schemas, to hold answers against. Where they come from: test/fixtures/openai/README.md. */
import { readFileSync } from 'node:fs';
import { Ajv2020, type ValidateFunction } from 'ajv/dist/2020.js';

interface Schema {
  readonly anyOf?: readonly { readonly $ref: string }[];
  readonly properties?: Readonly<Record<string, { readonly enum?: readonly string[] }>>;
}

const { schemas }: { schemas: Readonly<Record<string, Schema>> } = JSON.parse(
  readFileSync(new URL('../fixtures/openai/schemas.json', import.meta.url), 'utf8'),
);

const ajv = new Ajv2020({ strict: false, allErrors: true, validateFormats: false });
ajv.addSchema({ $id: 'openai', components: { schemas } });
const compiled = new Map<string, ValidateFunction>();

/** What is wrong with a value by OpenAI's schema of this name: nothing, when it is right. */
export function problemsBy(name: string, value: unknown): readonly string[] {
  let validate = compiled.get(name);
  if (validate === undefined) {
    validate = ajv.compile({ $ref: `openai#/components/schemas/${name}` });
    compiled.set(name, validate);
  }
  if (validate(value)) return [];
  return (validate.errors ?? []).map(({ instancePath, message, params }) => `${instancePath} ${message} ${JSON.stringify(params)}`);
}

/** The schema of each event of a response's stream, by its type. */
const eventSchemas = new Map(
  (schemas['ResponseStreamEvent']?.anyOf ?? []).flatMap(({ $ref }) => {
    const name = $ref.slice($ref.lastIndexOf('/') + 1);
    return (schemas[name]?.properties?.['type']?.enum ?? []).map((type) => [type, name]);
  }),
);

/** What is wrong with an event of a response's stream. */
export function problemsOfEvent(event: { readonly type: string }): readonly string[] {
  const name = eventSchemas.get(event.type);
  return name === undefined ? [`OpenAI knows no event ${event.type}`] : problemsBy(name, event);
}
