import { createDetokenizer } from '../../../layers/tokenizer/index.ts';
import { withoutRouting } from '../routing/choose-target.ts';
import type { LoadedModel } from '../served-models.ts';
import type { Endpoint } from '../services.ts';
import { describeToken } from './describe-token.ts';
import type { GenerationRequest, TextEvent } from './generation-request.ts';
import { targetsOf } from './hold-tokens.ts';
import type { ChoicePlan } from './plan-choices.ts';

/**
 * Puts the prompt before the answer: its text as the model read it and, with `logprobs`, how likely the model
 * found each of its tokens. With no tokens to generate this is how a given text is scored.
 */
export async function* echoPrompt(
  events: AsyncIterable<TextEvent>,
  endpoint: Endpoint,
  model: LoadedModel,
  plan: ChoicePlan,
  request: GenerationRequest,
  signal: AbortSignal,
): AsyncGenerator<TextEvent> {
  const { tokenizer } = model;
  const usage = { promptTokens: plan.promptTokenIds.length, completionTokens: 0, cachedPromptTokens: 0, reasoningTokens: 0 };
  const text = tokenizer.decode(plan.promptTokenIds);
  if (request.topLogprobs === undefined) {
    yield { type: 'text-delta', text, tokenOffsets: [], tokens: [], usage };
  } else {
    const [target] = targetsOf(model);
    if (target === undefined) throw new Error(`${model.served.id} has no endpoint`);
    const scoring = {
      target: withoutRouting(target),
      requestId: request.requestId,
      prompts: [plan.promptTokenIds],
      topLogprobs: request.topLogprobs,
    };
    const [logprobs = []] = await endpoint.score(scoring, signal);
    const detokenizer = createDetokenizer(tokenizer);
    const tokens = plan.promptTokenIds.map((tokenId, position) =>
      describeToken(tokenizer, tokenId, detokenizer.push(tokenId).textOffset, logprobs[position]),
    );
    yield { type: 'text-delta', text, tokenOffsets: [], tokens, usage };
  }
  const shift = [...text].length;
  for await (const event of events) {
    if (event.type === 'choice-end') yield event;
    else yield { ...event, tokens: event.tokens.map((token) => ({ ...token, textOffset: token.textOffset + shift })) };
  }
}
