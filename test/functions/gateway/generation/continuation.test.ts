import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { EndpointUnavailableError } from '../../../../functions/gateway/errors.ts';
import { chooseSeed, promiseOf } from '../../../../functions/gateway/generation/continuation.ts';
import { CONTINUATIONS, catalog, parseCatalog } from '../../../../models/catalog.ts';
import { createGenerationGateway, readStream } from '../../../support/generation-gateway.ts';
import { ToyEndpoint } from '../../../support/toy-endpoint.ts';

const RANK = { identical: 2, valid: 1, none: 0 } as const;
const targets = fc.array(fc.record({ continuation: fc.constantFrom(...CONTINUATIONS) }), { minLength: 1, maxLength: 4 });
const sampling = fc.record(
  {
    temperature: fc.constantFrom(0, 0.8),
    topP: fc.constant(1),
    frequencyPenalty: fc.constantFrom(0, 1),
    presencePenalty: fc.constantFrom(0, 1),
  },
  { requiredKeys: ['temperature', 'topP'] },
);

describe('the promise', () => {
  it('is that of the weakest target that goes on at all, and no target can raise it', () => {
    fc.assert(
      fc.property(targets, targets, sampling, (some, more, how) => {
        const promise = promiseOf(some, how);
        expect(promise === 'none').toBe(some.every(({ continuation }) => continuation === 'none'));
        if (promise !== 'none') expect(RANK[promiseOf([...some, ...more], how)]).toBeLessThanOrEqual(RANK[promise]);
        expect(promiseOf([...some, { continuation: 'none' }], how)).toBe(promise);
        if (promise === 'identical') expect((how.frequencyPenalty ?? 0) + (how.presencePenalty ?? 0)).toBe(0);
      }),
    );
  });

  it('is kept at temperature 0 alone by a target that says so', () => {
    const vllm = [{ continuation: 'identical-at-temperature-0' }] as const;
    expect(promiseOf(vllm, { temperature: 0, topP: 1 })).toBe('identical');
    expect(promiseOf(vllm, { temperature: 0.1, topP: 1 })).toBe('valid');
  });

  it('stands in the catalog, one of four words', () => {
    const [served] = catalog;
    if (served === undefined) throw new Error('the catalog has a model');
    for (const continuation of CONTINUATIONS)
      expect(parseCatalog([{ ...served, endpoint: { ...served.endpoint, continuation } }])[0]?.endpoint.continuation).toBe(continuation);
    expect(() => parseCatalog([{ ...served, endpoint: { ...served.endpoint, continuation: 'perhaps' } }])).toThrow('endpoint.continuation');
  });
});

describe('our own seed', () => {
  it('is there where it makes answers identical, fits into JSON, and differs from generation to generation', () => {
    const seeds = new Set<number>();
    for (let n = 0; n < 2_000; n += 1) {
      const seed = chooseSeed(`gen_${n}`, 'identical', { temperature: 1, topP: 1 });
      expect(seed).toBeGreaterThanOrEqual(0);
      expect(Number.isSafeInteger((seed ?? 0) + 128)).toBe(true); // the seed of the last of 128 choices
      seeds.add(seed ?? 0);
    }
    expect(seeds.size).toBe(2_000);
    expect(chooseSeed('gen_1', 'valid', { temperature: 1, topP: 1 })).toBeUndefined();
    expect(chooseSeed('gen_1', 'identical', { temperature: 0, topP: 1 })).toBeUndefined();
  });

  it('goes to every call of an answer, and yields to the one that the client set', async () => {
    const endpoint = new ToyEndpoint((_, call) =>
      call === 0 ? { after: 3, error: new EndpointUnavailableError('broken', 'penstock-gpt') } : undefined,
    );
    const gateway = await createGenerationGateway(endpoint);
    await readStream(await gateway.complete({ stream: true }));
    const [first, second] = endpoint.requests;
    expect(first?.sampling.seed).toBeTypeOf('number');
    expect(second?.sampling.seed).toBe(first?.sampling.seed);
    await readStream(await gateway.complete({ stream: true, seed: 11 }));
    expect(endpoint.requests.at(-1)?.sampling.seed).toBe(11);
    await readStream(await gateway.complete({ stream: true, temperature: 0 }));
    expect(endpoint.requests.at(-1)?.sampling).not.toHaveProperty('seed');
  });
});

describe('a target that promises nothing', () => {
  const broken = () => new EndpointUnavailableError('broken', 'penstock-gpt');
  const failing = (after: number) => new ToyEndpoint((_, call) => (call === 0 ? { after, error: broken() } : undefined));

  it('is asked again before the first token, and never after it', async () => {
    const before = failing(0);
    const quiet = await createGenerationGateway(before, { continuation: 'none' });
    expect((await readStream(await quiet.complete({ stream: true }))).error).toBeUndefined();
    expect(before.requests).toHaveLength(2);
    const after = failing(3);
    const gateway = await createGenerationGateway(after, { continuation: 'none' });
    const { error, bytes } = await readStream(await gateway.complete({ stream: true }));
    expect(error).toBe('endpoint_failed');
    expect(bytes.match(/"error"/g)).toHaveLength(1);
    expect(bytes).not.toContain('[DONE]');
    expect(after.requests).toHaveLength(1);
  });

  it('is passed over when another one goes on', async () => {
    const endpoint = failing(3);
    const alternatives = [{ name: 'penstock-other', weight: 0, continuation: 'valid' }] as const;
    const gateway = await createGenerationGateway(endpoint, { continuation: 'none', alternatives: [...alternatives] });
    const { error, finishReason } = await readStream(await gateway.complete({ stream: true }));
    expect({ error, finishReason }).toEqual({ error: undefined, finishReason: 'length' });
    expect(endpoint.requests.map((request) => request.target.endpointName)).toEqual(['penstock-gpt', 'penstock-other']);
  });
});
