import type { GenerationRoom } from '../generation/generation.ts';
import { chooseTarget } from '../routing/choose-target.ts';
import type { LoadedModel } from '../served-models.ts';
import type { PromptLogprobs } from '../services.ts';
import { targetsOf } from './hold-tokens.ts';

/** Prompts in one call: an answer comes in one piece, which SageMaker bounds in time and size. */
const PROMPTS_PER_CALL = 32;

/**
 * Scores prompts, as many calls as it takes, one after the other: the next one finds the last one's beginning in the prefix cache.
 * @throws {EndpointUnavailableError | EndpointRefusedError}
 */
export async function scoreTokens(
  room: Pick<GenerationRoom, 'endpoint' | 'health' | 'clock'>,
  model: LoadedModel,
  prompts: readonly (readonly number[])[],
  requestId: string,
  signal: AbortSignal,
): Promise<readonly PromptLogprobs[]> {
  const scores: PromptLogprobs[] = [];
  for (let start = 0; start < prompts.length; start += PROMPTS_PER_CALL) {
    const batch = prompts.slice(start, start + PROMPTS_PER_CALL);
    const { weight: _, ...target } = chooseTarget(targetsOf(model), room.health, {
      promptTokenIds: batch[0] ?? [],
      tried: [],
      nowMs: room.clock.now(),
    });
    room.health.began(target);
    try {
      scores.push(...(await room.endpoint.score({ target, requestId: `${requestId}-${start}`, prompts: batch, topLogprobs: 0 }, signal)));
      room.health.answered(target);
    } finally {
      room.health.ended(target);
    }
  }
  return scores;
}
