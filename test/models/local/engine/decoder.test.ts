import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { WINDOW_TOKENS } from '../../../../models/local/convert/add-attention.ts';
import { Decoder } from '../../../../models/local/engine/decoder.ts';
import { bucketFor, completeWindows } from '../../../../models/local/engine/kv-pool.ts';
import { convertTinyModel } from '../../../support/tiny-model.ts';

const LENGTH = 150;
const TOKENS = Array.from({ length: LENGTH }, (_, i) => (i * 37 + 11) % 256);

describe.each(['mixed', 'q4_1', 'q4_k_m', 'f16'])('Decoder with %s weights', (name) => {
  let model: Awaited<ReturnType<typeof convertTinyModel>>;
  let decoder: Decoder;
  beforeAll(async () => {
    model = await convertTinyModel(name);
    decoder = await Decoder.load(model, { threads: 1 });
  });
  afterAll(async () => {
    await decoder.dispose();
    await model[Symbol.asyncDispose]();
  });

  /** Logits of each position for `batch` copies of the tokens, computed in steps of these sizes, with at least this much room. */
  const compute = async (sizes: readonly number[], batch: number, capacity: number): Promise<Float32Array[][]> => {
    const pool = decoder.createPool(batch + 1);
    pool.resize(capacity, []);
    const rows: Float32Array[][] = Array.from({ length: batch }, () => []);
    for (let cached = 0, step = 0; cached < LENGTH; step++) {
      const count = Math.min(sizes[step % sizes.length] ?? 1, WINDOW_TOKENS - (cached % WINDOW_TOKENS), LENGTH - cached);
      const tokenIds = TOKENS.slice(cached, cached + count);
      const { logits, newRows } = await decoder.run({
        pool,
        firstSlot: 1, // not the first, so that a wrong slot shows
        sequences: rows.map(() => ({ tokenIds, cached })),
        rows: Array.from({ length: batch * count }, (_, i) => i),
      });
      const room = bucketFor(completeWindows(cached + count));
      if (room > pool.capacity) pool.resize(room, new Array(batch + 1).fill(cached));
      for (const [i, sequence] of rows.entries()) {
        pool.write(1 + i, cached, newRows, i, count);
        for (let k = 0; k < count; k++) {
          const at = (i * count + k) * decoder.vocabularySize;
          sequence.push(logits.slice(at, at + decoder.vocabularySize));
        }
      }
      cached += count;
    }
    return rows;
  };

  it('gives bit-equal logits however a sequence is cut into steps, whatever runs beside it and however much room there is', async () => {
    const [expected] = await compute([WINDOW_TOKENS], 1, 128);
    const sizes = fc.array(fc.integer({ min: 1, max: WINDOW_TOKENS }), { minLength: 1, maxLength: 8 });
    await fc.assert(
      fc.asyncProperty(sizes, fc.integer({ min: 1, max: 5 }), fc.constantFrom(0, 128, 192, 320), async (cut, batch, capacity) => {
        for (const rows of await compute(cut, batch, capacity)) expect(rows).toEqual(expected);
      }),
      {
        numRuns: 6,
        examples: [
          [[1], 1, 0],
          [[1], 5, 320],
        ],
      },
    );
  });
});
