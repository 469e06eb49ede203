import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { areaUnderCurve, atThreshold } from '../../../models/safety/metrics.ts';

describe('metrics', () => {
  it('give the area as the share of pairs in the right order', () => {
    const item = fc.record({ score: fc.integer({ min: 0, max: 5 }), isBad: fc.boolean() });
    fc.assert(
      fc.property(fc.array(item, { maxLength: 30 }), (items) => {
        const bad = items.filter(({ isBad }) => isBad);
        const good = items.filter(({ isBad }) => !isBad);
        fc.pre(bad.length > 0 && good.length > 0);
        const wins = bad.flatMap((a) => good.map((b) => (a.score > b.score ? 1 : a.score === b.score ? 0.5 : 0)));
        expect(areaUnderCurve(items)).toBeCloseTo(wins.reduce<number>((sum, win) => sum + win, 0) / wins.length, 10);
      }),
    );
  });

  it('count at a threshold', () => {
    const scored = [...[0.9, 0.6, 0.2].map((score) => ({ score, isBad: true })), ...[0.7, 0.1].map((score) => ({ score, isBad: false }))];
    expect(atThreshold(scored, 0.5)).toEqual({ f1: 4 / 6, recall: 2 / 3, falseAlarms: 0.5 });
  });
});
