import { readFileSync } from 'node:fs';
import { mkdtemp, rm, truncate } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { storeEmbedding } from '../../../../models/local/convert/embedding-weights.ts';
import { OnnxGraph } from '../../../../models/local/convert/onnx-graph.ts';
import { WeightsFile } from '../../../../models/local/convert/weights-file.ts';
import { EmbeddingTable } from '../../../../models/local/engine/embedding-table.ts';
import { readModelConfig } from '../../../../models/local/gguf/model-config.ts';
import { readGguf } from '../../../../models/local/gguf/read-gguf.ts';
import { ENGINE_FIXTURES } from '../../../support/tiny-model.ts';

type Vectors = Readonly<Record<string, { readonly bytes: string; readonly values: readonly number[] }>>;
const vectors = JSON.parse(readFileSync(join(ENGINE_FIXTURES, 'blocks.json'), 'utf8')) as Vectors; // written by record.py
const FLOATS = Float32Array.from({ length: 512 }, (_, i) => Math.sin(i));
const TENSORS: Readonly<Record<string, { readonly bytes: Uint8Array; readonly values: readonly number[] }>> = {
  ...Object.fromEntries(Object.entries(vectors).map(([type, { bytes, values }]) => [type, { bytes: Buffer.from(bytes, 'hex'), values }])),
  F32: { bytes: new Uint8Array(FLOATS.buffer), values: [...FLOATS] },
};
const HIDDEN_SIZE = 256;

describe('EmbeddingTable', () => {
  let folder: string;
  let stored = 0;
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'penstock-table-'));
  });
  afterAll(() => rm(folder, { recursive: true }));

  /** A table over a stored tensor, which is not the first in its file. */
  const store = (type: string) => {
    const { bytes, values } = TENSORS[type] ?? { bytes: new Uint8Array(), values: [] };
    const shape = { vocabularySize: values.length / HIDDEN_SIZE, hiddenSize: HIDDEN_SIZE };
    const name = `${stored++}.bin`;
    const weights = new WeightsFile(folder, name);
    weights.append(new Uint8Array(5000));
    const tensor = { type, rows: shape.vocabularySize, columns: HIDDEN_SIZE, read: () => bytes };
    const { layout } = storeEmbedding(
      new OnnxGraph(weights),
      { ...readModelConfig(readGguf(join(ENGINE_FIXTURES, 'tiny-f32.gguf'))), ...shape },
      { label: 'a test', interleavesHalves: false, find: () => tensor },
    );
    weights.finish();
    const path = join(folder, name);
    return { path, values, table: new EmbeddingTable(path, layout, shape) };
  };

  it.each(Object.keys(TENSORS))("gives the values that ggml's own dequantiser reads, for tokens in any order: %s", (type) => {
    const { values, table } = store(type);
    const last = values.length / HIDDEN_SIZE - 1;
    const expected = [last, 0, last, last].flatMap((row) => values.slice(row * HIDDEN_SIZE, (row + 1) * HIDDEN_SIZE));
    const rows = table.lookUp([last, 0, last, last]);
    table.close();
    expect(rows.length).toBe(expected.length);
    for (const [i, value] of expected.entries())
      expect(Math.abs((rows[i] ?? Number.NaN) - value)).toBeLessThanOrEqual(1e-6 * Math.max(1, Math.abs(value)));
  });

  it('refuses what is no token of the vocabulary, whatever else is in the file', () => {
    const { values, table } = store('F32');
    for (const id of [-1, values.length / HIDDEN_SIZE, 0.5, Number.NaN]) expect(() => table.lookUp([0, id])).toThrow(RangeError);
    expect(table.lookUp([])).toHaveLength(0);
    table.close();
  });

  it('fails when the file has become shorter, and gives no values of another token', async () => {
    const { path, table } = store('Q8_0');
    await truncate(path, 5000);
    expect(() => table.lookUp([1])).toThrow('shorter');
    table.close();
  });
});
