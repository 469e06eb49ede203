import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Distinct } from '../../../../layers/safety/heads/distinct.ts';
import { FeatureReader, hashWord } from '../../../../layers/safety/heads/features.ts';
import { readWords } from '../../../../layers/safety/heads/read-words.ts';
import { createRowSum } from '../../../../layers/safety/heads/sum-rows.ts';

const bucketCount = 1024;

/** The same features from strings: every n-gram cut out and hashed by itself. */
function bucketsOf(text: string): number[] {
  const buckets = new Set<number>();
  const add = (hash: number) => buckets.add((hash ^ (hash >>> 16)) & (bucketCount - 1));
  let previous = hashWord('');
  for (const word of readWords(text)) {
    const edged = `_${word}_`;
    for (let start = 0; start < edged.length; start += 1) {
      for (let length = 2; length <= 5 && start + length <= edged.length; length += 1) {
        const hash = hashWord(edged.slice(start, start + length));
        add(hash ^ (hash >>> 15));
      }
    }
    const hash = hashWord(word);
    add(Math.imul(hash ^ 0x9e3779b9, 0x01000193));
    add(Math.imul(previous, 31) ^ hash);
    previous = hash;
  }
  return [...buckets];
}

const text = fc.oneof(
  fc.string({ unit: fc.constantFrom(...'aabcil013@$!_.,\'" \n', 'é', '機', 'İ', '€', '\ud83d', '\ude00'), maxLength: 300 }),
  fc.string({ maxLength: 100 }),
);

describe('a feature reader', () => {
  it('gives the buckets of all n-grams, each once and in their order, whatever it has read before', () => {
    const reader = new FeatureReader(bucketCount);
    fc.assert(
      fc.property(text, (read) => {
        expect([...reader.read(read).buckets]).toEqual(bucketsOf(read));
      }),
      { numRuns: 300 },
    );
  });

  it('gives the hash of every word that a word list may have', () => {
    const reader = new FeatureReader(bucketCount);
    fc.assert(
      fc.property(text, (read) => {
        const listed = readWords(read).filter((word) => word.length >= 2);
        expect([...reader.read(read).words]).toEqual(listed.map(hashWord));
      }),
    );
  });
});

describe('a set of distinct numbers', () => {
  it('is empty after each of more rounds than its counter has', () => {
    const set = new Distinct(2);
    for (let round = 0; round < 70_000; round += 1) {
      if (round % 7 === 0) {
        expect([set.add(0), set.add(0)]).toEqual([true, false]);
      }
      set.clear();
    }
    expect([set.add(1), set.add(1), set.add(0)]).toEqual([true, false, true]);
  });
});

describe('a sum of rows', () => {
  it('is the sum of each column, of any number of columns', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 13 }),
        fc.int8Array({ minLength: 65, maxLength: 130 }),
        fc.array(fc.nat(4)),
        (columns, weights, rows) => {
          const sums = createRowSum(weights, columns)(Int32Array.from(rows));
          const expected = Array.from({ length: columns }, (_, column) =>
            rows.reduce((sum, row) => sum + (weights[row * columns + column] ?? Number.NaN), 0),
          );
          expect([...sums]).toEqual(expected);
        },
      ),
    );
  });
});
