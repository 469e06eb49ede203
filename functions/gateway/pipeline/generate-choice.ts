import { createDetokenizer } from '../../../layers/tokenizer/index.ts';
import type { ChoiceRequest } from '../generation/generation-plan.ts';
import type { LoadedModel } from '../served-models.ts';
import type { EndpointEvent, Grammar } from '../services.ts';
import { describeToken } from './describe-token.ts';
import type { GenerationRequest, TextEvent, TokenDetail, Usage } from './generation-request.ts';
import type { ChoicePlan } from './plan-choices.ts';

/** What an endpoint is asked for one answer: ids in, ids out. Which endpoint is decided call by call. */
export function describeChoice(
  model: LoadedModel,
  plan: ChoicePlan,
  request: GenerationRequest,
  grammar: Grammar | undefined,
): ChoiceRequest {
  const { seed: _, ...sampling } = request.sampling;
  // Candidates are compared by their log-probabilities, whether the caller sees them or not.
  const topLogprobs = request.topLogprobs ?? (request.bestOf === undefined ? undefined : 0);
  return {
    requestId: plan.index === 0 ? request.requestId : `${request.requestId}-${plan.index}`,
    promptTokenIds: plan.promptTokenIds,
    ...(request.sessionId === undefined ? {} : { sessionId: request.sessionId }),
    maxTokens: plan.maxTokens,
    stopTokenIds: model.served.stopTokenIds,
    sampling: plan.seed === undefined ? sampling : { ...sampling, seed: plan.seed },
    ...(grammar === undefined ? {} : { grammar }),
    ...(topLogprobs === undefined ? {} : { topLogprobs }),
  };
}

/**
 * Turns ids into text as they come: whole UTF-8 only, held back while it may begin a stop sequence. A stop sequence ends the choice
 * and stops the endpoint; its tokens were generated and are counted.
 */
export async function* detokenizeChoice(
  events: AsyncIterable<EndpointEvent>,
  model: LoadedModel,
  plan: ChoicePlan,
  stop: readonly string[],
): AsyncGenerator<TextEvent> {
  const { tokenizer } = model;
  const detokenizer = createDetokenizer(tokenizer, { stop, skipSpecialTokens: true });
  const stopTokenIds = new Set(model.served.stopTokenIds);
  let completionTokens = 0;
  const usage = (cachedPromptTokens = 0): Usage => ({
    ...{ promptTokens: plan.promptTokenIds.length, completionTokens, cachedPromptTokens },
    reasoningTokens: 0, // which tokens are thoughts is known when the text is understood
  });

  for await (const event of events) {
    if (event.type === 'end') {
      const text = detokenizer.flush();
      if (text !== '') yield { type: 'text-delta', text, tokenOffsets: [], tokens: [], usage: usage() };
      yield { type: 'choice-end', finishReason: event.finishReason, usage: usage(event.cachedPromptTokens) };
      return;
    }
    let text = '';
    const tokens: TokenDetail[] = [];
    const tokenOffsets: number[] = [];
    for (const [position, tokenId] of event.tokenIds.entries()) {
      completionTokens += 1;
      if (stopTokenIds.has(tokenId)) continue; // counted, as vLLM does, and never shown
      const released = detokenizer.push(tokenId);
      text += released.text;
      tokenOffsets.push(released.textOffset);
      const logprob = event.logprobs?.[position];
      if (logprob !== undefined) tokens.push(describeToken(tokenizer, tokenId, released.textOffset, logprob));
      if (released.stop !== undefined) {
        yield { type: 'text-delta', text, tokenOffsets, tokens, usage: usage() };
        yield { type: 'choice-end', finishReason: 'stop', usage: usage() };
        return;
      }
    }
    if (tokenOffsets.length > 0) yield { type: 'text-delta', text, tokenOffsets, tokens, usage: usage() };
  }
}
