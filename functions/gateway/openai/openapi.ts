/**
 * Our API as an OpenAPI 3.1 document. What requests may hold comes from the schemas that they are checked with, so it cannot say anything
 * else; what answers look like is OpenAI's and vLLM's, and their documents are referred to.
 */
import { toJsonSchema } from '@valibot/to-json-schema';
import type * as v from 'valibot';
import { type Operation, operations } from './openapi-operations.ts';

type JsonObject = Readonly<Record<string, unknown>>;

export function createOpenApiDocument(version: string): JsonObject {
  const paths: Record<string, Record<string, JsonObject>> = {};
  for (const operation of operations)
    paths[operation.path] = { ...paths[operation.path], [operation.method]: describeOperation(operation) };
  return {
    openapi: '3.1.0',
    info: {
      title: 'Penstock',
      version,
      description: 'The API of OpenAI, and of vLLM where OpenAI has none. Any client of theirs works with this base URL.',
    },
    servers: [{ url: '/' }],
    security: [{ apiKey: [] }],
    paths,
    components: {
      securitySchemes: { apiKey: { type: 'http', scheme: 'bearer' } },
      schemas: { Error: ERROR },
      responses: {
        Error: {
          description: 'What is wrong, and the way out',
          content: { 'application/json': { schema: { $ref: '#/components/schemas/Error' } } },
        },
      },
    },
  };
}

const ERROR = {
  type: 'object',
  required: ['error'],
  properties: {
    error: {
      type: 'object',
      required: ['message', 'type', 'param', 'code'],
      properties: {
        message: { type: 'string' },
        type: { type: 'string' },
        param: { type: ['string', 'null'] },
        code: { type: ['string', 'null'] },
      },
    },
  },
};

function describeOperation({ method, path, group, summary, schema, answer, query = [], streams = false }: Operation): JsonObject {
  const inPath = [...path.matchAll(/\{(\w+)\}/g)].map(([, name]) => ({ name, in: 'path', required: true, schema: { type: 'string' } }));
  const inQuery = query.map((name) => ({ name, in: 'query', schema: { type: 'string' } }));
  return {
    operationId: nameOf(method, path),
    tags: [group],
    summary,
    ...(typeof answer === 'string' ? { externalDocs: { url: answer } } : {}),
    parameters: [...inPath, ...inQuery],
    ...(schema === undefined
      ? {}
      : { requestBody: { required: true, content: { 'application/json': { schema: describeSchema(schema) } } } }),
    responses: {
      '200': {
        description: typeof answer === 'string' ? `As in ${answer}` : summary,
        content: {
          'application/json': { schema: typeof answer === 'string' ? { type: 'object' } : describeSchema(answer) },
          ...(streams ? { 'text/event-stream': { schema: { type: 'string' } } } : {}),
        },
      },
      default: { $ref: '#/components/responses/Error' },
    },
  };
}

function nameOf(method: string, path: string): string {
  const words = path.split(/[/_{}]+/).filter((word) => word !== '' && word !== 'v1');
  return [method, ...words.map((word) => word.charAt(0).toUpperCase() + word.slice(1))].join('');
}

/** Checks that JSON Schema cannot say stay behind. */
function describeSchema(schema: v.GenericSchema): JsonObject {
  const { $schema: _, ...described } = toJsonSchema(schema, { typeMode: 'input', errorMode: 'ignore' });
  return described;
}
