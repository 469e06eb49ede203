import type { GenerationRoom } from '../generation/generation-plan.ts';
import { chooseTarget, withoutRouting } from '../routing/choose-target.ts';
import type { LoadedModel } from '../served-models.ts';
import type { PromptLogprobs } from '../services.ts';
import { targetsOf } from './hold-tokens.ts';

/** In one call: its answer comes in one piece, for which SageMaker gives a minute. */
const PROMPTS_PER_CALL = 32;
const TOKENS_PER_CALL = 4_096;

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
  for (const batch of cutBatches(prompts)) {
    const request = { promptTokenIds: batch[0] ?? [], tried: [], nowMs: room.clock.now() };
    const target = withoutRouting(chooseTarget(targetsOf(model), room.health, request));
    room.health.began(target);
    try {
      scores.push(
        ...(await room.endpoint.score({ target, requestId: `${requestId}-${scores.length}`, prompts: batch, topLogprobs: 0 }, signal)),
      );
      room.health.answered(target);
    } finally {
      room.health.ended(target);
    }
  }
  return scores;
}

/** A prompt that is longer than a call may be has one for itself. */
function cutBatches(prompts: readonly (readonly number[])[]): readonly (readonly (readonly number[])[])[] {
  const batches: (readonly number[])[][] = [];
  let tokens = 0;
  for (const prompt of prompts) {
    const last = batches.at(-1);
    tokens += prompt.length;
    if (last !== undefined && last.length < PROMPTS_PER_CALL && tokens <= TOKENS_PER_CALL) {
      last.push(prompt);
      continue;
    }
    batches.push([prompt]);
    tokens = prompt.length;
  }
  return batches;
}
