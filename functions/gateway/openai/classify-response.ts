/** `POST /v1/classify`, out: vLLM's shape, with the labels' names. */
import type { Classification } from '../pipeline/classify/classify.ts';
import type { ClassifyRequest } from './classify-request.ts';

/** A label applies by itself from this probability on. */
const APPLIES = 0.5;

export function encodeClassifications(
  classifications: readonly Classification[],
  request: ClassifyRequest,
  head: { readonly id: string; readonly created: number; readonly promptTokens: number },
) {
  const { labels, task, decideEach } = request;
  return {
    id: head.id,
    object: 'list' as const,
    created: head.created,
    model: request.modelId,
    labels,
    data: classifications.map(({ probabilities }, index) => {
      const probs = labels.map((label) => probabilities[task.labels.indexOf(label)] ?? 0);
      return {
        index,
        /** The likeliest. */
        label: labels[probs.indexOf(Math.max(...probs))] ?? '',
        ...(decideEach ? { labels: labels.filter((_, position) => (probs[position] ?? 0) >= APPLIES) } : {}),
        /** In the order of `labels`. */
        probs,
        num_classes: labels.length,
      };
    }),
    usage: { prompt_tokens: head.promptTokens, total_tokens: head.promptTokens, completion_tokens: 0, prompt_tokens_details: null },
  };
}
