import type { EngineEvent, EngineRequest, Finish, RunningRequest } from './engine-request.ts';
import type { Grammars } from './grammar.ts';
import { readLogprobs, sampleToken } from './sampler.ts';

const END_OF_SEQUENCE: Finish = { reason: 'stop', stopTokenId: undefined };

/**
 * Takes the next token of a request from a row of logits, which it changes.
 * @returns what the caller is told: the token, with its log-probabilities and the end if this is it, or why there is none; `undefined` when the
 *   request was cancelled meanwhile.
 */
export async function pickToken(
  entry: RunningRequest,
  row: Float32Array,
  grammars: Grammars,
  isCancelled: () => boolean,
): Promise<EngineEvent | undefined> {
  const { request, tokenIds } = entry;
  const { id, sampling, endTokenIds, stopTokenIds, minTokens, maxTokens } = request;
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
