import type { EngineEvent, EngineRequest, Finish, RunningRequest } from './engine-request.ts';
import type { Grammars } from './grammar.ts';
import { readLogprobs, sampleToken } from './sampler.ts';

type Output = Extract<EngineEvent, { type: 'output' }>;
type Failure = Extract<EngineEvent, { type: 'failed' }>;

/** What the caller is told of a step: tokens, with their log-probabilities and the end if this is it, and why no more can follow. */
interface Picked {
  readonly output: Output | undefined;
  readonly failure: Failure | undefined;
  /** How many tokens of the draft were right. */
  readonly right: number;
}

const END_OF_SEQUENCE: Finish = { reason: 'stop', stopTokenId: undefined };

/**
 * Takes the next token of a request from row 0 of logits, and another from the row after each token of the draft that was taken as it was
 * guessed. Rows are changed.
 */
export async function pickTokens(
  entry: RunningRequest,
  draft: readonly number[],
  row: (index: number) => Float32Array,
  grammars: Grammars,
  isCancelled: () => boolean,
): Promise<Picked> {
  let output: Output | undefined;
  for (let right = 0; ; right++) {
    const next = isCancelled() ? undefined : await pickToken(entry, row(right), grammars, isCancelled);
    if (next?.type !== 'output') return { output, failure: next, right };
    output = output === undefined ? next : join(output, next);
    if (next.finish !== undefined || next.tokenIds[0] !== draft[right]) return { output, failure: undefined, right };
  }
}

/** @returns the token, with the end if this is it, or why there is none; `undefined` when the request was cancelled meanwhile. */
async function pickToken(
  entry: RunningRequest,
  row: Float32Array,
  grammars: Grammars,
  isCancelled: () => boolean,
): Promise<Output | Failure | undefined> {
  const { request, tokenIds } = entry;
  const { id, sampling, endTokenIds, stopTokenIds, minTokens, maxTokens } = request;
  if (Number.isNaN(row[0])) {
    entry.isSpoilt = true;
    return { type: 'failed', id, reason: 'not-a-number' };
  }
  const generated = tokenIds.length - request.promptTokenIds.length;
  if (maxTokens === 0) return { type: 'output', id, tokenIds: [], logprobs: [], finish: { reason: 'length', stopTokenId: undefined } };
  const original = request.logprobs === undefined ? row : row.slice();
  if (request.grammar !== undefined) {
    entry.grammar ??= await grammars.begin(request.grammar);
    const hasToken = await entry.grammar.mask(row);
    if (isCancelled()) return undefined;
    if (!hasToken) return { type: 'failed', id, reason: 'grammar-stuck' };
  }
  // Under a grammar the end is allowed exactly where the answer is complete.
  const banned = generated < minTokens && request.grammar === undefined ? [...endTokenIds, ...stopTokenIds] : [];
  const tokenId = sampleToken(row, sampling, tokenIds, request.promptTokenIds.length, banned);
  // Allowed tokens and grammar may have none in common.
  if (row[tokenId] === Number.NEGATIVE_INFINITY) return { type: 'failed', id, reason: 'grammar-stuck' };
  tokenIds.push(tokenId);
  const isComplete = entry.grammar?.accept(tokenId) === true;
  const logprobs = request.logprobs === undefined ? [] : [readLogprobs(original, tokenId, request.logprobs)];
  return {
    type: 'output',
    id,
    tokenIds: [tokenId],
    logprobs,
    finish: isComplete ? END_OF_SEQUENCE : findFinish(request, tokenId, generated + 1),
  };
}

function findFinish({ endTokenIds, stopTokenIds, maxTokens }: EngineRequest, tokenId: number, generated: number): Finish | undefined {
  if (endTokenIds.includes(tokenId)) return END_OF_SEQUENCE;
  if (stopTokenIds.includes(tokenId)) return { reason: 'stop', stopTokenId: tokenId };
  return generated >= maxTokens ? { reason: 'length', stopTokenId: undefined } : undefined;
}

function join(first: Output, second: Output): Output {
  return { ...second, tokenIds: [...first.tokenIds, ...second.tokenIds], logprobs: [...first.logprobs, ...second.logprobs] };
}
