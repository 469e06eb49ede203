import { randomBytes } from 'node:crypto';
import type { Tokenizer } from '../../../layers/tokenizer/index.ts';
import { type CompletionInvocation, InvocationError } from '../../invocation.ts';
import type { EngineRequest } from '../engine/engine-request.ts';
import type { GrammarSpec } from '../engine/grammar.ts';

/** What the container knows of its model. */
export interface ServedModel {
  readonly name: string;
  readonly tokenizer: Tokenizer;
  readonly vocabularySize: number;
  readonly contextLength: number;
  readonly stopTokenIds: readonly number[];
}

/** One choice of the answer: its place, and what the engine is asked for. */
export interface PlannedChoice {
  readonly index: number;
  readonly request: EngineRequest;
}

/**
 * Checks a body against the model as vLLM does, with its sentences, and plans one engine request for each choice.
 * @param createId makes ids that are unique in this process. Throws `InvocationError`.
 */
export async function planCompletion(
  body: CompletionInvocation,
  model: ServedModel,
  { grammar, adapter }: { readonly grammar: GrammarSpec | undefined; readonly adapter: string | undefined },
  createId: () => string,
): Promise<PlannedChoice[]> {
  const greedy = body.temperature < 1e-5;
  if (greedy && (body.best_of ?? body.n) > 1) {
    throw new InvocationError(`n must be 1 when using greedy sampling, got ${body.best_of ?? body.n}.`, { param: 'n' });
  }
  if (body.stream && body.prompt_logprobs !== undefined && body.prompt_logprobs !== null) {
    throw new InvocationError('`prompt_logprobs` are not available when `stream=True`.', { param: 'prompt_logprobs' });
  }
  checkBestOf(body);
  const prompts = await readPrompts(body.prompt, model.tokenizer);
  const seed = body.seed === undefined || body.seed === null ? randomBytes(8).readBigInt64LE() : BigInt(body.seed);
  return prompts.flatMap((promptTokenIds, promptIndex) => {
    const maxTokens = checkLengths(promptTokenIds, body.max_tokens, model);
    const candidates = body.best_of ?? body.n;
    return Array.from({ length: candidates }, (_, sibling) => ({
      index: promptIndex * candidates + sibling,
      request: {
        id: createId(),
        promptTokenIds,
        maxTokens,
        minTokens: Math.min(body.min_tokens, maxTokens),
        endTokenIds: body.ignore_eos ? [] : model.stopTokenIds,
        stopTokenIds: body.stop_token_ids ?? [],
        sampling: {
          temperature: body.temperature,
          topP: body.top_p,
          topK: Math.max(0, body.top_k),
          minP: body.min_p,
          seed: seed + BigInt(sibling), // as vLLM: the second choice of seed 7 is the answer to seed 8
          repetitionPenalty: body.repetition_penalty,
          frequencyPenalty: body.frequency_penalty,
          presencePenalty: body.presence_penalty,
          logitBias: new Map(Object.entries(body.logit_bias ?? {}).map(([id, bias]) => [Number(id), bias])),
          allowedTokenIds: body.allowed_token_ids ?? undefined,
        },
        // Candidates are ranked by them.
        logprobs: body.logprobs ?? (candidates > body.n ? 0 : undefined),
        promptLogprobs: body.prompt_logprobs ?? (body.echo ? (body.logprobs ?? undefined) : undefined),
        priority: body.priority,
        cacheSalt: body.cache_salt ?? '',
        adapter,
        grammar,
      },
    }));
  });
}

function checkBestOf(body: CompletionInvocation): void {
  const bestOf = body.best_of ?? body.n;
  if (bestOf < body.n) throw new InvocationError(`best_of must be at least n, got ${bestOf}.`, { param: 'best_of' });
  if (bestOf > body.n && body.stream) throw new InvocationError('best_of cannot be streamed.', { param: 'best_of' });
}

/** Long texts are tokenized in parts, so that the streams of others go on meanwhile. */
async function readPrompts(prompt: CompletionInvocation['prompt'], tokenizer: Tokenizer): Promise<readonly (readonly number[])[]> {
  if (typeof prompt === 'string') return [[...(await tokenizer.encodeAsync(prompt))]];
  if (isList(prompt, 'number')) return [prompt];
  if (isList(prompt, 'string')) return Promise.all(prompt.map(async (text) => [...(await tokenizer.encodeAsync(text))]));
  return prompt;
}

function isList<Name extends 'number' | 'string'>(
  prompt: readonly unknown[],
  type: Name,
): prompt is Name extends 'number' ? readonly number[] : readonly string[] {
  return typeof prompt[0] === type;
}

/** @returns max_tokens, clamped to the room that is left. */
function checkLengths(promptTokenIds: readonly number[], maxTokens: number, model: ServedModel): number {
  const { contextLength, vocabularySize } = model;
  if (promptTokenIds.length === 0) throw new InvocationError('You must pass at least one prompt', { param: 'prompt' });
  const unknown = promptTokenIds.find((id) => id >= vocabularySize);
  if (unknown !== undefined) throw new InvocationError(`Token id ${unknown} is out of vocabulary`, { param: 'prompt' });
  if (promptTokenIds.length > contextLength) {
    throw new InvocationError(
      `This model's maximum context length is ${contextLength} tokens. However, your prompt contains ${promptTokenIds.length} input tokens, which exceeds this limit even without any output tokens. Shorten the prompt.`,
      { param: 'input_tokens' },
    );
  }
  if (promptTokenIds.length === contextLength && maxTokens > 0) {
    throw new InvocationError('max_tokens must be at least 1, got 0.', { param: 'max_tokens' });
  }
  return Math.min(maxTokens, contextLength - promptTokenIds.length);
}
