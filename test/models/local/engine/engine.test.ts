import { describe, expect, it } from 'vitest';
import { EngineClient } from '../../../../models/local/engine/engine-client.ts';
import { generate, request } from '../../../support/engine-requests.ts';
import { convertTinyModel } from '../../../support/tiny-model.ts';

describe('the engine', () => {
  it('gives each answer as if it ran alone, while short and long ones join, grow and leave beside it', async () => {
    await using model = await convertTinyModel('mixed');
    const limits = { slots: 4, maxQueue: 100, kvTokens: 4096, prefillChunk: 64, prefixCacheBytes: 0, draftTokens: 7 };
    const engine = await EngineClient.start({ model, threads: 1, profile: false, limits });
    // Lengths of prompts and answers: some pass from one window of 64 to the next, and more than four wait for a slot.
    const sizes = [
      [5, 20],
      [220, 30],
      [60, 70],
      [130, 8],
      [1, 90],
      [190, 60],
      [40, 3],
    ] as const;
    const run = ([length, tokens]: readonly [number, number], i: number) =>
      generate(
        engine,
        request(
          Array.from({ length }, (_, k) => (k * 7 + i * 31) % 256),
          tokens,
        ),
      );
    const together = await Promise.all(sizes.map(run));
    const alone: (number[] | string)[] = [];
    for (const [i, size] of sizes.entries()) alone.push(await run(size, i));
    expect(together).toEqual(alone);
    expect(alone.map((ids) => ids.length)).toEqual(sizes.map(([, tokens]) => tokens));
    await engine.stop();
  });
});
