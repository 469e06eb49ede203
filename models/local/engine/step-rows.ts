import type { RunningRequest } from './engine-request.ts';
import { readLogprobs } from './sampler.ts';
import type { Step } from './scheduler.ts';

/** The flat rows of a step whose logits are asked for. */
export function wantedRows(step: Step, running: readonly RunningRequest[], newTokens: number): number[] {
  if (step.type === 'decode') return Array.from({ length: running.length * newTokens }, (_, i) => i);
  if (running[0]?.request.promptLogprobs !== undefined) return Array.from({ length: step.count }, (_, i) => i);
  return step.complete ? [step.count - 1] : [];
}

/**
 * Adds the log-probabilities of prompt tokens that a chunk's rows give, where they were asked for.
 * @returns whether the prompt has all of its now.
 */
export function collectPromptLogprobs(
  { request, tokenIds, promptPositions }: RunningRequest,
  chunk: Extract<Step, { type: 'prefill' }>,
  row: (index: number) => Float32Array,
): boolean {
  if (request.promptLogprobs === undefined) return false;
  // Row i scores the token after it. After a preemption rows come again: positions that are known are passed over.
  for (let i = 0; i < chunk.count; i++) {
    const position = chunk.from + i + 1;
    if (position > request.promptTokenIds.length - 1 || position - 1 < promptPositions.length) continue;
    promptPositions.push(readLogprobs(row(i), tokenIds[position] ?? 0, request.promptLogprobs));
  }
  return chunk.complete && tokenIds.length === request.promptTokenIds.length;
}
