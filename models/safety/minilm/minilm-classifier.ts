import * as v from 'valibot';
import type { TextClassifier } from '../../../layers/safety/index.ts';
import { createEmbedder, embeddingLength } from './embedder.ts';

/** Categories that an embedding judges better than words do. */
export const minilmCategories = ['hate', 'illicit'] as const;

const headSchema = v.strictObject({
  heads: v.array(
    v.strictObject({ category: v.picklist(minilmCategories), bias: v.number(), weights: v.pipe(v.array(v.number()), v.length(embeddingLength)) }),
  ),
});
export type MinilmHeads = v.InferOutput<typeof headSchema>;

/**
 * Linear heads over MiniLM for what the n-gram heads leave undecided: hate without slurs, requests in other words. It takes some 40 ms of CPU for
 * 128 pieces, so the bands keep it to the texts that need it.
 * @param heads content of `weights/minilm-heads.json`
 */
export async function createMinilmClassifier(
  model: Uint8Array,
  vocabulary: string,
  heads: unknown,
  bands: TextClassifier['bands'] = { hate: [0.02, 0.98], illicit: [0.05, 0.95] },
): Promise<TextClassifier> {
  const parsed = v.parse(headSchema, heads);
  const embedder = await createEmbedder(model, vocabulary);
  return {
    name: 'minilm',
    bands,
    async classify(text, signal) {
      signal?.throwIfAborted();
      const embedding = await embedder.embed(text);
      return Object.fromEntries(
        parsed.heads.map(({ category, bias, weights }) => {
          const logit = weights.reduce((sum, weight, unit) => sum + weight * (embedding[unit] ?? 0), bias);
          return [category, 1 / (1 + Math.exp(-logit))];
        }),
      );
    },
  };
}
