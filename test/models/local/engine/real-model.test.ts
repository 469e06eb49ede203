import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import type { ModelFolder } from '../../../../models/local/convert/model-folder.ts';
import { Decoder } from '../../../../models/local/engine/decoder.ts';
import { divergence, greatestDifference, logSumExp } from '../../../support/compare-logits.ts';
import { computeLogitsWith } from '../../../support/compute-logits.ts';
import { openRealModel } from '../../../support/real-model.ts';
import { ENGINE_FIXTURES } from '../../../support/tiny-model.ts';

const SAMPLED_EVERY = 1024;

/** The independent forward pass over one prompt, as `record.py` wrote it. */
interface RecordedPrompt {
  readonly tokenIds: readonly number[];
  readonly lastRow: Float32Array;
  /** For each row: its log-sum-exp, then the logits of ids 0, 1024, 2048, ... */
  readonly rows: readonly Float32Array[];
}

function readOracle(vocabularySize: number): RecordedPrompt[] {
  const prompts = JSON.parse(readFileSync(join(ENGINE_FIXTURES, 'prompts.json'), 'utf8')) as number[][]; // lists of token ids
  const values = new Float32Array(readFileSync(join(ENGINE_FIXTURES, 'smollm2-logits.bin')).buffer.slice(0));
  const rowLength = 1 + vocabularySize / SAMPLED_EVERY;
  let at = 0;
  const take = (length: number) => {
    at += length;
    return values.slice(at - length, at);
  };
  return prompts.map((tokenIds) => ({ tokenIds, lastRow: take(vocabularySize), rows: tokenIds.map(() => take(rowLength)) }));
}

describe('SmolLM2-135M-Instruct', () => {
  let exact: ModelFolder;
  let fast: ModelFolder;
  let oracle: RecordedPrompt[];
  beforeAll(async () => {
    exact = await openRealModel('exact');
    fast = await openRealModel('fast');
    oracle = readOracle(exact.config.vocabularySize);
  }, 180_000);

  it('computes the logits of the independent forward pass at accuracy level 1, and nearly its distributions when it serves', async () => {
    const divergences: number[] = [];
    const [exactly, fastly] = await Promise.all([exact, fast].map((model) => Decoder.load(model, { threads: 1 })));
    if (exactly === undefined || fastly === undefined) throw new Error('two decoders were loaded');
    for (const { tokenIds, lastRow, rows } of oracle) {
      const exactRows = await computeLogitsWith(exactly, tokenIds, 64);
      for (const [i, expected] of rows.entries()) {
        const row = exactRows[i] ?? new Float32Array();
        const sampled = Float32Array.from({ length: expected.length - 1 }, (_, k) => row[k * SAMPLED_EVERY] ?? Number.NaN);
        expect(greatestDifference(sampled, expected.subarray(1))).toBeLessThanOrEqual(0.001);
        expect(Math.abs(logSumExp(row) - (expected[0] ?? Number.NaN))).toBeLessThanOrEqual(0.001);
      }
      expect(greatestDifference(exactRows.at(-1) ?? new Float32Array(), lastRow)).toBeLessThanOrEqual(0.001);
      const fastRows = await computeLogitsWith(fastly, tokenIds, 64);
      divergences.push(...exactRows.map((row, i) => divergence(row, fastRows[i] ?? new Float32Array())));
    }
    await Promise.all([exactly.dispose(), fastly.dispose()]);
    const mean = divergences.reduce((sum, value) => sum + value, 0) / divergences.length;
    expect(mean).toBeLessThanOrEqual(0.003);
  }, 120_000);
});
