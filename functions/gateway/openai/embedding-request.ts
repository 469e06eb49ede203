/** `POST /v1/embeddings`, `/score` and `/rerank`, in. https://platform.openai.com/docs/api-reference/embeddings; the others are vLLM's. */
import * as v from 'valibot';
import { InvalidRequestError } from '../errors.ts';
import { parseBody } from './parse-body.ts';
import { generationFields, integerBetween, nullish, oneOf, string } from './request-fields.ts';

const MAX_TEXTS = 2048;

const text = v.pipe(string, v.nonEmpty('must not be empty.'));
const texts = v.pipe(
  v.array(text, 'must be a string, an array of strings, an array of token ids, or an array of arrays of token ids.'),
  v.minLength(1, 'must have at least one input.'),
  v.maxLength(MAX_TEXTS, `takes at most ${MAX_TEXTS} inputs.`),
);
const tokenIds = v.pipe(v.array(integerBetween(0, 2 ** 31 - 1)), v.minLength(1, 'must have at least one token id.'));
const tokenLists = v.pipe(v.array(tokenIds), v.minLength(1), v.maxLength(MAX_TEXTS, `takes at most ${MAX_TEXTS} inputs.`));

const input = oneOf([text, texts, tokenIds, tokenLists], (value) => {
  if (!Array.isArray(value)) return typeof value === 'string' ? text : texts;
  return typeof value[0] === 'number' ? tokenIds : Array.isArray(value[0]) ? tokenLists : texts;
});

export const embeddingSchema = v.strictObject({
  model: generationFields.model,
  input,
  encoding_format: nullish(v.picklist(['float', 'base64'], 'must be float or base64.')),
  dimensions: nullish(integerBetween(1, 65_536)),
  user: nullish(string),
});

export interface EmbeddingRequest {
  readonly modelId: string;
  readonly input: readonly string[] | readonly (readonly number[])[];
  readonly dimensions: number | undefined;
  readonly asBase64: boolean;
}

/** @throws {InvalidRequestError} naming the field at fault. */
export function parseEmbeddingRequest(body: unknown): EmbeddingRequest {
  const parsed = parseBody(embeddingSchema, body);
  return {
    modelId: parsed.model,
    input: readInput(parsed.input),
    dimensions: parsed.dimensions ?? undefined,
    asBase64: parsed.encoding_format === 'base64',
  };
}

function readInput(wire: v.InferOutput<typeof input>): EmbeddingRequest['input'] {
  if (typeof wire === 'string') return [wire];
  return isTokenIds(wire) ? [wire] : wire;
}

function isTokenIds(wire: string[] | number[] | number[][]): wire is number[] {
  return typeof wire[0] === 'number';
}

const oneOrMany = oneOf([text, texts], (value) => (Array.isArray(value) ? texts : text));

export const scoreSchema = v.strictObject({ model: generationFields.model, text_1: oneOrMany, text_2: oneOrMany, user: nullish(string) });

/** Pairs of texts. @throws {InvalidRequestError} neither one with many, nor as many with as many. */
export function parseScoreRequest(body: unknown): { readonly modelId: string; readonly pairs: readonly (readonly [string, string])[] } {
  const { model, text_1: first, text_2: second } = parseBody(scoreSchema, body);
  const queries = typeof first === 'string' ? [first] : first;
  const documents = typeof second === 'string' ? [second] : second;
  if (queries.length !== 1 && queries.length !== documents.length) {
    throw new InvalidRequestError("'text_1' must be one text, or have as many as 'text_2'.", { param: 'text_1' });
  }
  const [only = ''] = queries;
  return { modelId: model, pairs: documents.map((document, index) => [queries.length === 1 ? only : (queries[index] ?? ''), document]) };
}

const documentObject = v.object({ text }, 'must be a text, or an object with a `text`.');
const document = oneOf([text, documentObject], (value) => (typeof value === 'string' ? text : documentObject));

export const rerankSchema = v.strictObject({
  model: generationFields.model,
  query: text,
  documents: v.pipe(
    v.array(document, 'must be an array of documents.'),
    v.minLength(1, 'must have at least one document.'),
    v.maxLength(MAX_TEXTS - 1, `takes at most ${MAX_TEXTS - 1} documents.`),
  ),
  /** 0 means all. */
  top_n: nullish(integerBetween(0, MAX_TEXTS)),
  user: nullish(string),
});

export interface RerankRequest {
  readonly modelId: string;
  readonly query: string;
  readonly documents: readonly string[];
  readonly topN: number;
}

/** @throws {InvalidRequestError} naming the field at fault. */
export function parseRerankRequest(body: unknown): RerankRequest {
  const { model, query, documents, top_n: topN } = parseBody(rerankSchema, body);
  const count = documents.length;
  return {
    modelId: model,
    query,
    documents: documents.map((one) => (typeof one === 'string' ? one : one.text)),
    topN: topN ? Math.min(topN, count) : count,
  };
}
