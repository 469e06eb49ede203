/** Reads answers that come in one piece: scores of given tokens, and embeddings. */
import { parseEmbeddings, parseScores, type ReceivedScores } from '../../models/invocation.ts';
import { EndpointUnavailableError } from '../gateway/errors.ts';
import type { EmbeddingRequest, EmbeddingResult, PromptLogprobs, ScoringRequest } from '../gateway/services.ts';

/** @throws {EndpointUnavailableError} an answer of another shape, or one that is not about these tokens. */
export function readScores(body: string, request: ScoringRequest): readonly PromptLogprobs[] {
  return reading(request, () => {
    const { choices } = parseScores(body);
    return request.prompts.map((prompt, index) => {
      const choice = choices.find((candidate) => candidate.index === index);
      if (choice?.prompt_logprobs.length !== prompt.length) throw new RangeError('the container scored another number of tokens');
      return prompt.map((tokenId, position) => readPosition(tokenId, choice.prompt_logprobs[position] ?? null, request.topLogprobs));
    });
  });
}

function readPosition(
  tokenId: number,
  scores: ReceivedScores['choices'][number]['prompt_logprobs'][number],
  topLogprobs: number,
): PromptLogprobs[number] {
  if (scores === null) return undefined;
  const own = scores[tokenId];
  if (own === undefined) throw new RangeError('the container scored other tokens');
  const top = Object.entries(scores).map(([id, { logprob }]) => ({ tokenId: Number(id), logprob }));
  // The token itself is among them even when it is not among the likeliest: one more than was asked for.
  return { tokenId, logprob: own.logprob, top: top.sort((one, other) => other.logprob - one.logprob).slice(0, topLogprobs) };
}

/** @throws {EndpointUnavailableError} an answer of another shape, or vectors that are missing or of different lengths. */
export function readEmbeddings(body: string, request: EmbeddingRequest): EmbeddingResult {
  return reading(request, () => {
    const { data, usage } = parseEmbeddings(body);
    const embeddings = request.input.map((_, index) => {
      const found = data.find((candidate) => candidate.index === index);
      if (found === undefined) throw new RangeError('the container left an input out');
      return decodeFloats(found.embedding);
    });
    if (new Set(embeddings.map((embedding) => embedding.length)).size > 1) throw new RangeError('the vectors have different lengths');
    return { embeddings, promptTokens: usage.prompt_tokens };
  });
}

/** Little-endian float32, wherever this runs. */
function decodeFloats(base64: string): Float32Array {
  const bytes = Buffer.from(base64, 'base64');
  if (bytes.length === 0 || bytes.length % 4 !== 0) throw new RangeError('a vector is no list of float32');
  return Float32Array.from({ length: bytes.length / 4 }, (_, index) => bytes.readFloatLE(index * 4));
}

function reading<Result>(request: ScoringRequest | EmbeddingRequest, read: () => Result): Result {
  try {
    return read();
  } catch (error) {
    throw new EndpointUnavailableError('model-error', request.target.endpointName, { cause: error });
  }
}
