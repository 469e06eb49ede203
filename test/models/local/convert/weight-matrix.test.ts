import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  packCodes,
  readWeightMatrix,
  separateHalves,
  stackRows,
  takeRows,
  type WeightMatrix,
} from '../../../../models/local/convert/weight-matrix.ts';
import { ENGINE_FIXTURES } from '../../../support/tiny-model.ts';

type Vectors = Readonly<Record<string, { readonly bytes: string; readonly values: readonly number[] }>>;
const vectors = JSON.parse(readFileSync(join(ENGINE_FIXTURES, 'blocks.json'), 'utf8')) as Vectors; // written by record.py

/** What the graph computes with: scale * (code - zero point) + offset. */
function valuesOf(matrix: WeightMatrix): number[] {
  if (matrix.form === 'dense') return [...matrix.values];
  const { codes, scales, offsets, blockSize, bits } = matrix;
  return Array.from(codes, (code, i) => {
    const block = Math.floor(i / blockSize);
    return (scales[block] ?? 0) * (code - 2 ** (bits - 1)) + (offsets?.[block] ?? 0);
  });
}

describe('readWeightMatrix', () => {
  it.each(Object.entries(vectors))("reads %s as ggml's own dequantiser does", (type, { bytes, values }) => {
    const matrix = readWeightMatrix('w', type, Buffer.from(bytes, 'hex'), 1, values.length);
    const read = valuesOf(matrix);
    for (const [i, value] of values.entries())
      expect(Math.abs((read[i] ?? 0) - value)).toBeLessThanOrEqual(1e-6 * Math.max(1, Math.abs(value)));
  });

  it('reads bfloat16 as the upper half of float32', () => {
    const floats = Float32Array.of(1.5, -2, 0.15625, 3e30);
    const halves = Uint16Array.from(new Uint32Array(floats.buffer), (bits) => bits >>> 16);
    const matrix = readWeightMatrix('w', 'BF16', new Uint8Array(halves.buffer), 1, 4);
    expect(valuesOf(matrix).slice(0, 3)).toEqual([1.5, -2, 0.15625]);
  });

  it('refuses a type by name', () => {
    expect(() => readWeightMatrix('blk.0.attn_q.weight', 'IQ4_NL', new Uint8Array(18), 1, 32)).toThrow(
      'The model stores blk.0.attn_q.weight as IQ4_NL; this engine reads F32, F16,',
    );
  });
});

describe('separateHalves', () => {
  it('puts the interleaved halves of each head one after the other', () => {
    expect([...separateHalves(2, 4)]).toEqual([0, 2, 1, 3, 4, 6, 5, 7]);
  });

  it('is a permutation within each head', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 6 }), fc.integer({ min: 1, max: 16 }), (heads, half) => {
        const order = [...separateHalves(heads, 2 * half)];
        expect(order.toSorted((a, b) => a - b)).toEqual([...order.keys()]);
        for (const [row, from] of order.entries()) expect(Math.floor(from / (2 * half))).toBe(Math.floor(row / (2 * half)));
      }),
    );
  });
});

describe('rows of quantised matrices', () => {
  const matrix = readWeightMatrix('w', 'Q4_1', Buffer.from(vectors['Q4_1']?.bytes ?? '', 'hex'), 4, 128);

  it('move with their scales and offsets', () => {
    const moved = valuesOf(takeRows(matrix, [3, 1, 0, 2]));
    const values = valuesOf(matrix);
    expect(moved).toEqual([3, 1, 0, 2].flatMap((row) => values.slice(row * 128, (row + 1) * 128)));
  });

  it('stack when the formats are equal, and only then', () => {
    const stacked = stackRows([matrix, takeRows(matrix, [2])]);
    expect(stacked?.rows).toBe(5);
    expect(stacked === undefined ? [] : valuesOf(stacked).slice(4 * 128)).toEqual(valuesOf(matrix).slice(2 * 128, 3 * 128));
    const other = readWeightMatrix('w', 'Q4_0', Buffer.from(vectors['Q4_0']?.bytes ?? '', 'hex'), 4, 128);
    expect(stackRows([matrix, other])).toBeUndefined();
  });

  it('pack two 4-bit codes into a byte, the first one low', () => {
    if (matrix.form !== 'blocks') throw new Error('Q4_1 is a block format');
    const packed = packCodes(matrix);
    expect(Array.from(packed, (byte) => [byte & 15, byte >> 4]).flat()).toEqual([...matrix.codes]);
  });
});
