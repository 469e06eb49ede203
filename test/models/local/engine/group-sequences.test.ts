import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { costOf, groupSequences, type Need } from '../../../../models/local/engine/group-sequences.ts';

const needs = fc
  .array(fc.integer({ min: 0, max: 32 }), { maxLength: 7 })
  .map((windows) => windows.map((count, i): Need => ({ id: `${i}`, positions: count * 64 })));
const callCost = fc.integer({ min: 0, max: 4000 });

/** Every way to part these into groups. */
function* partitions(all: readonly Need[]): Generator<Need[][]> {
  const [first, ...others] = all;
  if (first === undefined) {
    yield [];
    return;
  }
  for (const groups of partitions(others)) {
    yield [[first], ...groups];
    for (const i of groups.keys()) yield groups.map((group, k) => (k === i ? [first, ...group] : group));
  }
}

describe('groupSequences', () => {
  it('finds groups that cost as little as the cheapest of all', () => {
    fc.assert(
      fc.property(needs, callCost, (all, cost) => {
        const groups = groupSequences(all, cost);
        expect(
          groups
            .flat()
            .map(({ id }) => id)
            .toSorted(),
        ).toEqual(all.map(({ id }) => id).toSorted());
        expect(groups.every((group) => group.length > 0)).toBe(true);
        const cheapest = Math.min(...[...partitions(all)].map((parts) => costOf(parts, cost)));
        expect(costOf(groups, cost)).toBe(cheapest);
      }),
      { numRuns: 60 },
    );
  });

  it('leaves short sequences together, and parts them from one that is much longer', () => {
    const short = [64, 64, 128, 64, 64, 64, 64, 64].map((positions, i) => ({ id: `${i}`, positions }));
    const sizes = (positions: number) => groupSequences([...short, { id: 'long', positions }], 900).map((group) => group.length);
    expect(sizes(128)).toEqual([9]);
    expect(sizes(2048)).toEqual([1, 8]);
  });
});
