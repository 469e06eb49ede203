import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { convertModel } from '../../../../models/local/convert/convert-model.ts';
import { openModelFolder } from '../../../../models/local/convert/model-folder.ts';
import { EngineClient } from '../../../../models/local/engine/engine-client.ts';
import type { EngineRequest } from '../../../../models/local/engine/engine-request.ts';
import { readGguf } from '../../../../models/local/gguf/read-gguf.ts';
import { generate, request } from '../../../support/engine-requests.ts';
import { convertTinyModel, ENGINE_FIXTURES } from '../../../support/tiny-model.ts';

const LIMITS = { slots: 4, maxQueue: 1000, kvTokens: 320, prefillChunk: 64, prefixCacheBytes: 0, draftTokens: 7 };
const SPOILT_TOKEN = 200;

describe('the engine when things go wrong', () => {
  it('fails the one request whose logits are no numbers, and neither its neighbours nor those that take its slot', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'penstock-nan-'));
    const ggufPath = join(folder, 'nan.gguf');
    const tensor = readGguf(join(ENGINE_FIXTURES, 'tiny-f32.gguf')).tensors.get('token_embd.weight');
    const bytes = await readFile(join(ENGINE_FIXTURES, 'tiny-f32.gguf'));
    for (let i = 0; i < 64; i++) bytes.writeFloatLE(Number.NaN, (tensor?.offset ?? 0) + (SPOILT_TOKEN * 64 + i) * 4);
    await writeFile(ggufPath, bytes);
    await convertModel({ ggufPath, outputFolder: join(folder, 'model') });
    const engine = await EngineClient.start({
      model: await openModelFolder(join(folder, 'model')),
      threads: 1,
      profile: false,
      limits: LIMITS,
    });
    // The tied head makes this token's own logit NaN for everybody: it is kept from being drawn, and row 0 is not it.
    const good = Array.from({ length: 70 }, (_, i) => i);
    const expected = await generate(engine, request(good, 1));
    const outcomes = await Promise.all(
      [good, [...good, SPOILT_TOKEN, 7], good, [SPOILT_TOKEN], good].map((prompt) => generate(engine, request(prompt, 1))),
    );
    expect(outcomes).toEqual([expected, 'not-a-number', expected, 'not-a-number', expected]);
    for (let again = 0; again < 4; again++) expect(await generate(engine, request(good, 1))).toEqual(expected);
    await engine.stop();
    await rm(folder, { recursive: true });
  });

  it('puts sequences back when memory for keys and values runs out, and none of them notices', async () => {
    await using model = await convertTinyModel('mixed');
    const start = (kvTokens: number) => EngineClient.start({ model, threads: 1, profile: false, limits: { ...LIMITS, kvTokens } });
    const [narrow, wide] = [await start(320), await start(4096)];
    const prompts = [40, 50, 60, 45].map((length, i) => Array.from({ length }, (_, k) => (k * 5 + i) % 256));
    const run = (engine: EngineClient) => Promise.all(prompts.map((prompt) => generate(engine, request(prompt, 80))));
    expect(await run(narrow)).toEqual(await run(wide));
    expect(narrow.status.preemptions).toBeGreaterThan(0);
    expect(wide.status.preemptions).toBe(0);
    await Promise.all([narrow.stop(), wide.stop()]);
  });

  it('is empty after 200 callers that vanish at random tokens', async () => {
    await using model = await convertTinyModel('mixed');
    const engine = await EngineClient.start({
      model,
      threads: 1,
      profile: false,
      limits: { ...LIMITS, kvTokens: 2048, prefixCacheBytes: 1 << 20 },
    });
    const vanish = (i: number) => {
      const asked = request(
        Array.from({ length: 1 + ((i * 7) % 90) }, (_, k) => (k * i) % 256),
        60,
      );
      let left = (i * 13) % 20;
      if (left === 0) {
        void generate(engine, asked);
        engine.cancel(asked.id);
        return Promise.resolve();
      }
      return new Promise<void>((resolve) => {
        void generate(engine, asked, () => {
          left--;
          if (left > 0) return;
          engine.cancel(asked.id);
          resolve();
        });
      });
    };
    await Promise.all(Array.from({ length: 200 }, (_, i) => vanish(i)));
    await expect.poll(() => engine.status, { timeout: 10_000 }).toMatchObject({ running: 0, waiting: 0, kvUsage: 0 });
    expect(await generate(engine, request([1, 2, 3], 5))).toHaveLength(5);
    await engine.stop();
  });

  it('tells everybody who waits when its thread dies', async () => {
    await using model = await convertTinyModel('mixed');
    const engine = await EngineClient.start({ model, threads: 1, profile: false, limits: LIMITS });
    const outcome = generate(engine, request([1, 2, 3], 10_000_000), () => engine.submit({} as EngineRequest, () => undefined)); // a message that kills it
    expect(await outcome).toBe('engine-gone');
    await expect(engine.gone).resolves.toBeInstanceOf(Error);
  });
});
