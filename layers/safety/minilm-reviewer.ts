import * as v from 'valibot';
import type { TextClassifier } from './text-classifier.ts';

/** Width of all-MiniLM-L6-v2. */
export const embeddingLength = 384;

/** Characters that are embedded: even one token a character stays inside the model's 256. */
export const longestSentence = 250;

/** Categories that an embedding judges better than words do. */
export const minilmCategories = ['hate', 'illicit'] as const;

const headSchema = v.strictObject({
  category: v.picklist(minilmCategories),
  bias: v.number(),
  weights: v.pipe(v.array(v.number()), v.length(embeddingLength)),
});
export type MinilmHead = v.InferOutput<typeof headSchema>;

/** A sentence's embedding at unit length, from an endpoint or from `models/local/embeddings`. */
export type EmbedSentence = (text: string, signal?: AbortSignal) => Promise<Float32Array>;

/**
 * Linear heads over all-MiniLM-L6-v2 for what the n-gram heads leave undecided: hate without slurs, requests in other words. An embedding takes some
 * 40 ms of CPU for 128 tokens, so the bands keep it to the texts that need it.
 * @param heads content of `weights/minilm-heads.jsonl`: one head a line
 */
export function createMinilmClassifier(
  embed: EmbedSentence,
  heads: string,
  bands: TextClassifier['bands'] = { hate: [0.02, 0.98], illicit: [0.05, 0.95] },
): TextClassifier {
  const parsed = heads
    .trimEnd()
    .split('\n')
    .map((line) => v.parse(headSchema, JSON.parse(line)));
  return {
    name: 'minilm',
    bands,
    async classify(text, signal) {
      signal?.throwIfAborted();
      // The end of the text is the window; what comes before it is context.
      const embedding = await embed(text.slice(-longestSentence), signal);
      return Object.fromEntries(
        parsed.map(({ category, bias, weights }) => {
          const logit = weights.reduce((sum, weight, unit) => sum + weight * (embedding[unit] ?? 0), bias);
          return [category, 1 / (1 + Math.exp(-logit))];
        }),
      );
    },
  };
}
