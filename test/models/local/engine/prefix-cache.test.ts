import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { WINDOW_TOKENS } from '../../../../models/local/convert/add-attention.ts';
import { PrefixCache } from '../../../../models/local/engine/prefix-cache.ts';

const BLOCK_BYTES = 16;
/** Rows that name what they belong to: a number for the salt and for all ids up to the window's end. */
const rowsFor = (salt: string, tokenIds: readonly number[], window: number): Float32Array => {
  let hash = salt.length;
  for (const id of tokenIds.slice(0, (window + 1) * WINDOW_TOKENS)) hash = (Math.imul(hash, 31) + id) % 65_537;
  return Float32Array.of(hash, window, 0, 0);
};
/** Few different windows, so that sequences share beginnings. */
const sequences = fc.array(
  fc.record({
    salt: fc.constantFrom('', 'a', 'b'),
    windows: fc.array(fc.integer({ min: 0, max: 2 }), { minLength: 1, maxLength: 5 }),
    extra: fc.integer({ min: 0, max: 3 }),
  }),
  { maxLength: 30 },
);
const idsOf = (windows: readonly number[], extra: number): number[] => [
  ...windows.flatMap((window) => new Array<number>(WINDOW_TOKENS).fill(window)),
  ...new Array<number>(extra).fill(9),
];

describe('PrefixCache', () => {
  it('gives the rows of the very same beginning and salt only, and stays within its memory', () => {
    fc.assert(
      fc.property(sequences, fc.integer({ min: 0, max: 8 }), (all, blocks) => {
        const cache = new PrefixCache(blocks * BLOCK_BYTES);
        for (const { salt, windows, extra } of all) {
          const tokenIds = idsOf(windows, extra);
          const found = cache.find(salt, tokenIds);
          expect(found.length * WINDOW_TOKENS).toBeLessThan(tokenIds.length);
          for (const [window, rows] of found.entries()) expect(rows).toEqual(rowsFor(salt, tokenIds, window));
          cache.insert(salt, tokenIds, windows.length, (window) => rowsFor(salt, tokenIds, window));
          expect(cache.bytes).toBeLessThanOrEqual(blocks * BLOCK_BYTES);
          const kept = Math.min(windows.length, blocks, Math.ceil(tokenIds.length / WINDOW_TOKENS) - 1);
          expect(cache.find(salt, tokenIds)).toHaveLength(kept);
        }
      }),
    );
  });

  it('gives the memory of what it forgets back at once, and of nothing else', () => {
    const cache = new PrefixCache(2 * BLOCK_BYTES);
    cache.insert('', idsOf([1], 1), 1, () => rowsFor('', idsOf([1], 1), 0));
    cache.insert('', idsOf([2], 1), 1, () => rowsFor('', idsOf([2], 1), 0));
    const [[older], [newer]] = [cache.find('', idsOf([1], 1)), cache.find('', idsOf([2], 1))];
    cache.insert('', idsOf([3], 1), 1, () => rowsFor('', idsOf([3], 1), 0));
    expect([older?.byteLength, newer?.byteLength]).toEqual([0, BLOCK_BYTES]);
  });

  it('forgets the least recently used first, the end of a chain before its beginning', () => {
    const cache = new PrefixCache(4 * BLOCK_BYTES);
    const insert = (windows: number[]) =>
      cache.insert('', idsOf(windows, 1), windows.length, (window) => rowsFor('', idsOf(windows, 1), window));
    const count = (windows: number[]) => cache.find('', idsOf(windows, 1)).length;
    insert([1, 1]);
    insert([2, 2]);
    expect(count([1, 1])).toBe(2);
    insert([3]);
    expect([count([1, 1]), count([2, 2]), count([3])]).toEqual([2, 1, 1]);
  });
});
