/** From log-probabilities to probabilities of labels. */
import type { PromptLogprobs } from '../../services.ts';

/** Mean log-probability of the answer's tokens: a sum would favour short answers. */
export function answerScore(logprobs: PromptLogprobs, answerLength: number): number {
  const answer = logprobs.slice(-answerLength).map((position) => position?.logprob ?? 0);
  return answer.reduce((sum, logprob) => sum + logprob, 0) / answerLength;
}

/**
 * Takes out what the model says of texts without content: with these weights such a text has every label with the same probability
 * (contextual calibration, Zhao et al. 2021, with W = diag(p_cf)^-1 and b = 0).
 * @param contentFree scores of each content-free text, label by label.
 */
export function calibrate(scores: readonly number[], contentFree: readonly (readonly number[])[]): readonly number[] {
  const prior = scores.map((_, label) => logMeanExp(contentFree.map((of) => logSoftmax(of)[label] ?? 0)));
  return logSoftmax(logSoftmax(scores).map((score, label) => score - (prior[label] ?? 0))).map(Math.exp);
}

function logSoftmax(scores: readonly number[]): readonly number[] {
  const total = logSumExp(scores);
  return scores.map((score) => score - total);
}

function logMeanExp(values: readonly number[]): number {
  return logSumExp(values) - Math.log(values.length);
}

/** Shifted by the largest, so that nothing overflows; labels that are all impossible are equally so. */
function logSumExp(values: readonly number[]): number {
  const largest = Math.max(...values);
  if (!Number.isFinite(largest)) return largest;
  return largest + Math.log(values.reduce((sum, value) => sum + Math.exp(value - largest), 0));
}
