import { ContextLengthExceededError } from '../errors.ts';
import type { LoadedModel } from '../served-models.ts';
import type { GenerationRequest } from './generation-request.ts';

/** One answer to generate, with everything that is decided before the endpoint is called. */
export interface ChoicePlan {
  readonly index: number;
  readonly promptTokenIds: readonly number[];
  readonly maxTokens: number;
  readonly seed: number | undefined;
}

/**
 * Lays out the choices, prompt by prompt. A choice after the first draws with the next seed, as vLLM does.
 * @param ownSeed for an answer whose caller set none.
 * @throws {ContextLengthExceededError} the prompt, or the prompt with `max_tokens`, is longer than the model's context: engines cut
 *   such a request silently, so it is refused here.
 */
export function planChoices(
  model: LoadedModel,
  prompts: readonly (readonly number[])[],
  request: GenerationRequest,
  ownSeed?: number,
): readonly ChoicePlan[] {
  const { contextLength, id } = model.served;
  return prompts.flatMap((promptTokenIds, promptIndex) => {
    const room = contextLength - promptTokenIds.length;
    if (room < 1) {
      throw new ContextLengthExceededError(
        `This model's maximum context length is ${contextLength} tokens, but your \`${request.promptParam}\` has ${promptTokenIds.length}. Shorten it.`,
        request.promptParam,
      );
    }
    const maxTokens = request.maxTokens ?? room;
    if (maxTokens > room) {
      throw new ContextLengthExceededError(
        `\`${request.maxTokensParam}\` is ${maxTokens}, but ${id} takes ${contextLength} tokens in all and your \`${request.promptParam}\` has ` +
          `${promptTokenIds.length}: ask for at most ${room}.`,
        request.maxTokensParam,
      );
    }
    const candidates = request.bestOf ?? request.choicesPerPrompt;
    return Array.from({ length: candidates }, (_, choice) => {
      const { seed = ownSeed } = request.sampling;
      return {
        index: promptIndex * candidates + choice,
        promptTokenIds,
        maxTokens,
        seed: seed === undefined ? undefined : seed + choice,
      };
    });
  });
}
