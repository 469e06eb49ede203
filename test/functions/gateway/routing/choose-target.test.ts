import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { chooseTarget, type WeightedTarget } from '../../../../functions/gateway/routing/choose-target.ts';
import { TargetHealth } from '../../../../functions/gateway/routing/target-health.ts';

const targets: readonly WeightedTarget[] = ['a', 'b', 'c', 'd'].map((endpointName) => ({ endpointName, weight: 1, continuation: 'valid' }));
const NOW = 1_000_000;
const choose = (promptTokenIds: readonly number[], health = new TargetHealth(), among = targets, tried: readonly WeightedTarget[] = []) =>
  chooseTarget(among, health, { promptTokenIds, tried, nowMs: NOW });
const conversation = fc.array(fc.nat(50_000), { minLength: 256, maxLength: 256 });

describe('prefix affinity', () => {
  it('sends every turn of a conversation to the same target, in every process', () => {
    fc.assert(
      fc.property(conversation, fc.array(fc.nat(50_000), { maxLength: 300 }), (start, rest) => {
        expect(choose([...start, ...rest]).endpointName).toBe(choose(start).endpointName);
      }),
    );
  });

  it('moves only the conversations of a target that is gone', () => {
    fc.assert(
      fc.property(conversation, fc.constantFrom(...targets), (start, gone) => {
        const before = choose(start);
        const after = choose(
          start,
          new TargetHealth(),
          targets.filter((target) => target !== gone),
        );
        if (before !== gone) expect(after).toBe(before);
      }),
    );
  });

  it('shares conversations by weight', () => {
    const weighted: readonly WeightedTarget[] = [
      { endpointName: 'stable', weight: 9, continuation: 'valid' },
      { endpointName: 'canary', weight: 1, continuation: 'valid' },
      { endpointName: 'stand-by', weight: 0, continuation: 'valid' },
    ];
    const counts = new Map<string, number>();
    for (let n = 0; n < 5_000; n += 1) {
      // Nothing is under way, so that weight alone decides.
      const { endpointName } = choose([n, n * 7, n * 13], new TargetHealth(), weighted);
      counts.set(endpointName, (counts.get(endpointName) ?? 0) + 1);
    }
    expect(counts.get('canary')).toBeGreaterThan(400);
    expect(counts.get('canary')).toBeLessThan(600);
    expect(counts.get('stand-by')).toBeUndefined();
  });
});

describe('regions', () => {
  it('are left only when no target of the own one is fit', () => {
    const among: readonly WeightedTarget[] = [
      { endpointName: 'here', weight: 1, continuation: 'valid' },
      { endpointName: 'there', weight: 1, continuation: 'valid', region: 'eu-west-1' },
    ];
    const [here, there] = among;
    fc.assert(
      fc.property(conversation, fc.nat(20), (prompt, load) => {
        const health = new TargetHealth();
        for (let n = 0; n < load && here !== undefined; n += 1) health.began(here);
        expect(choose(prompt, health, among)).toBe(here);
        expect(choose(prompt, health, among, here === undefined ? [] : [here])).toBe(there);
      }),
    );
  });
});

describe('load and health', () => {
  it('never lets one target have more than its share and a quarter, however hot its prefix is', () => {
    fc.assert(
      fc.property(conversation, fc.integer({ min: 1, max: 60 }), (hot, requests) => {
        const health = new TargetHealth();
        for (let n = 1; n <= requests; n += 1) {
          const target = choose(hot, health);
          health.began(target);
          expect(health.of(target).outstanding).toBeLessThanOrEqual(Math.ceil((1.25 * n) / targets.length));
        }
      }),
    );
  });

  it('leaves a target alone that fails, and tries it again after a while', () => {
    const prompt = [1, 2, 3];
    const health = new TargetHealth();
    const first = choose(prompt, health);
    for (let failure = 0; failure < 3; failure += 1) health.failed(first, NOW);
    expect(health.isOpen(first, NOW)).toBe(true);
    expect(choose(prompt, health)).not.toBe(first);
    expect(chooseTarget(targets, health, { promptTokenIds: prompt, tried: [], nowMs: NOW + 1_001 })).toBe(first);
    health.failed(first, NOW + 1_001);
    expect(health.isOpen(first, NOW + 2_900)).toBe(true); // twice as long
    health.answered(first);
    expect(health.isOpen(first, NOW + 1_002)).toBe(false);
  });

  it('asks another one after a failure of this very answer, and the last one when there is no other', () => {
    const prompt = [1, 2, 3];
    const first = choose(prompt);
    expect(choose(prompt, new TargetHealth(), targets, [first])).not.toBe(first);
    const [only] = targets;
    if (only !== undefined) expect(choose(prompt, new TargetHealth(), [only], [only])).toBe(only);
  });
});
