/** `POST /v1/completions`, in: GPT-3's own API. https://platform.openai.com/docs/api-reference/completions/create */
import * as v from 'valibot';
import { InvalidRequestError } from '../errors.ts';
import type { Prompt } from '../pipeline/generation-request.ts';
import { parseBody } from './parse-body.ts';
import {
  boolean,
  generationFields,
  integerBetween,
  MAX_TOKENS,
  nullish,
  type ParsedRequest,
  readDelivery,
  readSampling,
  readStop,
  refused,
  string,
} from './request-fields.ts';

const tokenIds = v.pipe(v.array(integerBetween(0, 2 ** 31 - 1)), v.minLength(1, 'must have at least one token id.'));
const prompt = v.union(
  [
    string,
    v.pipe(v.array(string), v.minLength(1), v.maxLength(128, 'takes at most 128 prompts.')),
    tokenIds,
    v.pipe(v.array(tokenIds), v.minLength(1), v.maxLength(128, 'takes at most 128 prompts.')),
  ],
  'must be a string, an array of strings, an array of token ids, or an array of arrays of token ids.',
);

export const completionSchema = v.strictObject({
  ...generationFields,
  prompt,
  max_tokens: nullish(integerBetween(0, MAX_TOKENS)),
  echo: nullish(boolean),
  best_of: nullish(integerBetween(1, 20)),
  suffix: refused('is not served: these models write on from a prompt, they do not fill in.'),
  logprobs: nullish(integerBetween(0, 5)),
});

/** OpenAI's default for this path. */
const DEFAULT_MAX_TOKENS = 16;

/** @throws {InvalidRequestError} naming the field at fault. */
export function parseCompletionRequest(body: unknown, requestId: string): ParsedRequest {
  const completion = parseBody(completionSchema, body);
  const echo = completion.echo ?? false;
  const choicesPerPrompt = completion.n ?? 1;
  const bestOf = completion.best_of ?? choicesPerPrompt;
  if (completion.max_tokens === 0 && !echo) {
    throw new InvalidRequestError("'max_tokens' may be 0 only with 'echo': there would be nothing to answer.", { param: 'max_tokens' });
  }
  if (bestOf < choicesPerPrompt) throw new InvalidRequestError("'best_of' must be at least 'n'.", { param: 'best_of' });
  if (bestOf > choicesPerPrompt && completion.stream === true) {
    throw new InvalidRequestError("'best_of' cannot be streamed: the best is known only when all candidates are there.", {
      param: 'best_of',
    });
  }
  return {
    request: {
      requestId,
      modelId: completion.model,
      prompts: readPrompts(completion.prompt),
      promptParam: 'prompt',
      choicesPerPrompt,
      ...(bestOf > choicesPerPrompt ? { bestOf } : {}),
      ...(echo ? { echo } : {}),
      maxTokens: completion.max_tokens ?? DEFAULT_MAX_TOKENS,
      maxTokensParam: 'max_tokens',
      sampling: readSampling(completion),
      stop: readStop(completion),
      ...(typeof completion.logprobs === 'number' ? { topLogprobs: completion.logprobs } : {}),
    },
    delivery: readDelivery(completion),
  };
}

function readPrompts(wire: v.InferOutput<typeof prompt>): readonly Prompt[] {
  if (typeof wire === 'string') return [{ type: 'text', text: wire }];
  if (isTokenIds(wire)) return [{ type: 'tokens', tokenIds: wire }];
  return wire.map((one) => (typeof one === 'string' ? { type: 'text', text: one } : { type: 'tokens', tokenIds: one }));
}

function isTokenIds(wire: readonly unknown[]): wire is readonly number[] {
  return typeof wire[0] === 'number';
}
