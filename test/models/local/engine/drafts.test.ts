import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { DraftLength, lookUp } from '../../../../models/local/engine/drafts.ts';
import { EngineClient } from '../../../../models/local/engine/engine-client.ts';
import type { EngineEvent, EngineRequest } from '../../../../models/local/engine/engine-request.ts';
import type { GrammarSpec } from '../../../../models/local/engine/grammar.ts';
import { request } from '../../../support/engine-requests.ts';
import { convertTinyModel } from '../../../support/tiny-model.ts';

describe('lookUp', () => {
  it('finds what followed the latest of the longest ends of 2 to 6 tokens that were there before', () => {
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 0, max: 3 }), { maxLength: 60 }), fc.integer({ min: 1, max: 9 }), (ids, most) => {
        const places = [6, 5, 4, 3, 2].flatMap((length) => {
          const end = ids.slice(-length).join();
          const starts = ids.map((_, i) => i).filter((i) => i + length < ids.length && ids.slice(i, i + length).join() === end);
          return ids.length < length ? [] : starts.toReversed().map((i) => i + length);
        });
        expect(lookUp(ids, most)).toEqual(places[0] === undefined ? [] : ids.slice(places[0], places[0] + most));
      }),
      { numRuns: 500 },
    );
  });
});

describe('DraftLength', () => {
  it('grows while guesses are right, falls to none while they are wrong, and tries again later', () => {
    const length = new DraftLength();
    expect(length.tokens).toBeGreaterThan(0);
    for (let i = 0; i < 10; i++) length.learn(2, 2);
    expect(length.tokens).toBeGreaterThan(7);
    for (let i = 0; length.tokens > 0; i++) {
      length.learn(length.tokens, 0);
      expect(i).toBeLessThan(20);
    }
    for (let i = 0; length.tokens === 0; i++) {
      length.learn(0, 0);
      expect(i).toBeLessThan(100);
    }
    expect(length.tokens).toBe(1);
  });
});

/** What a caller hears, token by token, however many come at once. */
async function hear(engine: EngineClient, asked: EngineRequest): Promise<unknown[]> {
  const heard: unknown[] = [];
  const ended = Promise.withResolvers<void>();
  engine.submit(asked, (event: EngineEvent) => {
    if (event.type !== 'output') heard.push({ ...event, id: '' });
    else for (const [i, tokenId] of event.tokenIds.entries()) heard.push({ tokenId, logprobs: event.logprobs[i] });
    if (event.type === 'output' && event.finish !== undefined) heard.push(event.finish);
    if (event.type === 'failed' || (event.type === 'output' && event.finish !== undefined)) ended.resolve();
  });
  await ended.promise;
  return heard;
}

const sampling = fc.record({
  temperature: fc.constantFrom(0, 0, 0.2, 0.6, 1),
  topK: fc.constantFrom(0, 3),
  topP: fc.constantFrom(1, 0.7),
  seed: fc.bigInt({ min: 0n, max: 1n << 40n }),
  repetitionPenalty: fc.constantFrom(1, 1.05),
  frequencyPenalty: fc.constantFrom(0, 0.05),
});
const grammars: readonly GrammarSpec[] = [
  { type: 'regex', pattern: '(ab|ba)*c' },
  { type: 'json-schema', schema: JSON.stringify({ type: 'array', items: { enum: ['yes', 'no'] }, minItems: 5, maxItems: 9 }) },
];
const requests = fc.record({
  sampling,
  prompt: fc.array(fc.integer({ min: 0, max: 255 }), { minLength: 1, maxLength: 12 }),
  repeats: fc.integer({ min: 1, max: 8 }),
  maxTokens: fc.integer({ min: 1, max: 150 }),
  minTokens: fc.integer({ min: 0, max: 10 }),
  stopTokenIds: fc.array(fc.integer({ min: 0, max: 255 }), { maxLength: 2 }),
  logprobs: fc.constantFrom(undefined, 2),
  grammar: fc.constantFrom(undefined, undefined, ...grammars),
});

describe('drafts', () => {
  it('change nothing of what is answered: ids, log-probabilities, ends, under grammars, penalties and at any temperature', async () => {
    await using model = await convertTinyModel();
    const start = (draftTokens: number) =>
      EngineClient.start({
        model,
        threads: 1,
        profile: false,
        limits: { slots: 4, maxQueue: 10, kvTokens: 1024, prefillChunk: 64, prefixCacheBytes: 0, draftTokens },
      });
    const [plain, drafting] = [await start(0), await start(7)];
    await fc.assert(
      fc.asyncProperty(requests, async ({ sampling: drawn, prompt, repeats, ...rest }) => {
        const plainRequest = request(Array.from({ length: repeats }, () => prompt).flat(), rest.maxTokens);
        const asked = { ...plainRequest, ...rest, endTokenIds: [258], sampling: { ...plainRequest.sampling, ...drawn } };
        expect(await hear(drafting, asked)).toEqual(await hear(plain, asked));
      }),
      { numRuns: 60 },
    );
    expect(plain.status).toMatchObject({ drafts: 0, draftTokens: 0, acceptedTokens: 0 });
    expect(drafting.status.acceptedTokens).toBeGreaterThan(0);
    expect(drafting.status.draftTokens).toBeGreaterThan(drafting.status.acceptedTokens); // wrong guesses were met too
    await Promise.all([plain.stop(), drafting.stop()]);
  });
});
