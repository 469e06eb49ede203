import { describe, expect, it } from 'vitest';
import { drawAt, philox4x32, type Words4 } from '../../../../models/local/engine/philox.ts';

/** Known answers of philox4x32-10 from Random123's `kat_vectors`. */
const KNOWN: readonly (readonly [Words4, readonly [number, number], Words4])[] = [
  [
    [0, 0, 0, 0],
    [0, 0],
    [0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8],
  ],
  [
    [0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff],
    [0xffffffff, 0xffffffff],
    [0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd],
  ],
  [
    [0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344],
    [0xa4093822, 0x299f31d0],
    [0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1],
  ],
];

describe('philox4x32', () => {
  it.each(KNOWN)('gives the known answer for %j', (counter, key, expected) => {
    expect(philox4x32(counter, key)).toEqual(expected);
  });
});

describe('drawAt', () => {
  it('is uniform over positions, and depends on seed and position alone', () => {
    const draws = Array.from({ length: 20_000 }, (_, position) => drawAt(7n, position));
    const cells = new Array<number>(20).fill(0);
    for (const draw of draws) cells[Math.floor(draw * 20)] = (cells[Math.floor(draw * 20)] ?? 0) + 1;
    const chiSquared = cells.reduce((sum, count) => sum + (count - 1000) ** 2 / 1000, 0);
    expect(chiSquared).toBeLessThan(43.8); // 19 degrees of freedom, p = 0.001
    expect(drawAt(7n, 12)).toBe(draws[12]);
    expect(drawAt(8n, 12)).not.toBe(draws[12]);
    expect(drawAt(-1n, 0)).not.toBe(drawAt(1n, 0));
  });
});
