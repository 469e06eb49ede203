import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { readLogprobs, type SamplingParameters, sampleToken } from '../../../../models/local/engine/sampler.ts';

const PLAIN: SamplingParameters = {
  temperature: 1,
  topP: 1,
  topK: 0,
  minP: 0,
  seed: 1n,
  repetitionPenalty: 1,
  frequencyPenalty: 0,
  presencePenalty: 0,
  logitBias: new Map(),
  allowedTokenIds: undefined,
};
/** Quarters: equal or clearly apart, so that rounding decides nothing. */
const logitsArbitrary = fc.array(
  fc.integer({ min: -48, max: 48 }).map((quarters) => quarters / 4),
  { minLength: 2, maxLength: 40 },
);

/** Which ids are ever drawn, over many positions. */
function drawn(logits: readonly number[], parameters: Partial<SamplingParameters>, draws = 400): Map<number, number> {
  const counts = new Map<number, number>();
  for (let position = 0; position < draws; position++) {
    const id = sampleToken(Float32Array.from(logits), { ...PLAIN, ...parameters }, new Array(position).fill(0), position);
    counts.set(id, (counts.get(id) ?? 0) + 1);
  }
  return counts;
}

/** The nucleus as its paper defines it (Holtzman et al., 2020), in plain arithmetic. */
function nucleus(logits: readonly number[], topP: number): number[] {
  const top = Math.max(...logits);
  const shares = logits.map((logit) => Math.exp(logit - top));
  const total = shares.reduce((sum, share) => sum + share, 0);
  const order = [...shares.keys()].sort((a, b) => (shares[b] ?? 0) - (shares[a] ?? 0) || a - b);
  const kept: number[] = [];
  let sum = 0;
  for (const id of order) {
    kept.push(id);
    sum += (shares[id] ?? 0) / total;
    if (sum >= topP - 1e-12) break;
  }
  return kept;
}

describe('sampleToken', () => {
  it('takes the likeliest token at temperature 0, the first of equal ones', () => {
    expect(sampleToken(Float32Array.of(1, 3, 3, 2), { ...PLAIN, temperature: 0 }, [], 0)).toBe(1);
  });

  it('draws in proportion to the probabilities', () => {
    const shares = [0.5, 0.25, 0.15, 0.1];
    const draws = 8000;
    const counts = drawn(shares.map(Math.log), {}, draws);
    const chiSquared = shares.reduce((sum, share, id) => sum + ((counts.get(id) ?? 0) - share * draws) ** 2 / (share * draws), 0);
    expect(chiSquared).toBeLessThan(16.3); // 3 degrees of freedom, p = 0.001
  });

  it('sharpens with low and flattens with high temperature', () => {
    const logits = [2, 1, 0];
    const share = (temperature: number) => (drawn(logits, { temperature }, 2000).get(0) ?? 0) / 2000;
    expect(share(0.25)).toBeGreaterThan(0.95);
    expect(share(20)).toBeLessThan(0.42);
  });

  it('stays within the nucleus, and reaches all of what is likely in it', () => {
    fc.assert(
      fc.property(logitsArbitrary, fc.double({ min: 0.05, max: 0.99, noNaN: true }), (logits, topP) => {
        const kept = new Set(nucleus(logits.map(Math.fround), topP));
        for (const id of drawn(logits, { topP }, 60).keys()) expect(kept.has(id)).toBe(true);
      }),
    );
  });

  it('stays within the k likeliest', () => {
    fc.assert(
      fc.property(logitsArbitrary, fc.integer({ min: 1, max: 10 }), (logits, topK) => {
        const ranked = [...logits.keys()].sort((a, b) => (logits[b] ?? 0) - (logits[a] ?? 0) || a - b).slice(0, topK);
        for (const id of drawn(logits, { topK, temperature: 3 }, 60).keys()) expect(ranked).toContain(id);
      }),
    );
  });

  it('leaves out what min_p leaves out', () => {
    const counts = drawn([0, Math.log(0.5), Math.log(0.09)], { minP: 0.1 });
    expect([...counts.keys()].sort()).toEqual([0, 1]);
  });

  it('never draws a token whose logit is no number', () => {
    expect([...drawn([0, Number.NaN, 0], {}).keys()].sort()).toEqual([0, 2]);
  });

  it('adds biases, and keeps to allowed tokens', () => {
    expect([...drawn([5, 0, 0], { logitBias: new Map([[2, 100]]) }).keys()]).toEqual([2]);
    expect([...drawn([50, 0, 0], { allowedTokenIds: [1, 2] }).keys()].sort()).toEqual([1, 2]);
    expect(sampleToken(Float32Array.of(9, 1, 2), { ...PLAIN, temperature: 0 }, [], 0, [0])).toBe(2);
  });

  it('penalises repetition over all tokens, frequency and presence over generated ones', () => {
    const greedy = { ...PLAIN, temperature: 0 };
    expect(sampleToken(Float32Array.of(4, 3), { ...greedy, repetitionPenalty: 1.5 }, [0], 1)).toBe(1);
    expect(sampleToken(Float32Array.of(-1, -1.4), { ...greedy, repetitionPenalty: 1.5 }, [0], 1)).toBe(1);
    expect(sampleToken(Float32Array.of(4, 3), { ...greedy, frequencyPenalty: 0.6 }, [0, 0, 0], 3)).toBe(0);
    expect(sampleToken(Float32Array.of(4, 3), { ...greedy, frequencyPenalty: 0.6 }, [0, 0, 0], 1)).toBe(1);
    expect(sampleToken(Float32Array.of(4, 3), { ...greedy, presencePenalty: 1.1 }, [0], 0)).toBe(1);
  });

  it('draws the same at the same position whatever came before', () => {
    const logits = Array.from({ length: 100 }, (_, id) => Math.sin(id));
    const one = sampleToken(Float32Array.from(logits), PLAIN, [1, 2, 3, 4], 1);
    const other = sampleToken(Float32Array.from(logits), PLAIN, [9, 9, 9, 9], 4);
    expect(one).toBe(other);
  });
});

describe('readLogprobs', () => {
  it('gives log-probabilities that sum to one, best first, with the rank of the sampled token', () => {
    fc.assert(
      fc.property(logitsArbitrary, (logits) => {
        const row = Float32Array.from(logits);
        const { sampled, top } = readLogprobs(row, 1, logits.length);
        expect(top.reduce((sum, { logprob }) => sum + Math.exp(logprob), 0)).toBeCloseTo(1, 5);
        expect(top.map(({ logprob }) => logprob)).toEqual(top.map(({ logprob }) => logprob).toSorted((a, b) => b - a));
        expect(top.find(({ tokenId }) => tokenId === 1)?.logprob).toBe(sampled.logprob);
        expect(sampled.rank).toBe(1 + top.filter(({ logprob }) => logprob > sampled.logprob).length);
      }),
    );
  });
});
