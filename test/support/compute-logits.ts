import { WINDOW_TOKENS } from '../../models/local/convert/add-attention.ts';
import type { ModelFolder } from '../../models/local/convert/model-folder.ts';
import { Decoder } from '../../models/local/engine/decoder.ts';
import { bucketFor, completeWindows } from '../../models/local/engine/kv-pool.ts';

/** Logits of every position, computed in chunks of `chunk` tokens through the cache. One row a position. */
export async function computeLogits(model: ModelFolder, tokenIds: readonly number[], chunk: number): Promise<Float32Array[]> {
  const decoder = await Decoder.load(model, { threads: 1 });
  try {
    return await computeLogitsWith(decoder, tokenIds, chunk);
  } finally {
    await decoder.dispose();
  }
}

export async function computeLogitsWith(decoder: Decoder, tokenIds: readonly number[], chunk: number): Promise<Float32Array[]> {
  const pool = decoder.createPool(1);
  pool.resize(bucketFor(tokenIds.length), []);
  const rows: Float32Array[] = [];
  for (let cached = 0; cached < tokenIds.length; ) {
    const part = tokenIds.slice(cached, Math.min(cached + chunk, completeWindows(cached) + WINDOW_TOKENS));
    const { logits, newRows } = await decoder.run({
      pool,
      firstSlot: 0,
      sequences: [{ tokenIds: part, cached }],
      rows: [...part.keys()],
    });
    pool.write(0, cached, newRows, 0, part.length);
    cached += part.length;
    for (const i of part.keys()) rows.push(logits.slice(i * decoder.vocabularySize, (i + 1) * decoder.vocabularySize));
  }
  return rows;
}
