import { Distinct } from './distinct.ts';

/** The columns of a word list as the file of weights has them, and what their small integers stand for. */
export interface WordListColumns {
  /** `hashWord` of each word, ascending. */
  readonly hashes: Uint32Array;
  readonly weights: Int8Array;
  readonly idfs: Uint8Array;
  readonly weightScale: number;
  readonly idfScale: number;
}

/** Words are looked for among those that share this many first bits of the hash: one or two of a list of some thousands. */
const prefixBits = 14;
const prefixShift = 32 - prefixBits;

/** Scores the words of one text, given by `hashWord` in any number of pieces. */
export type WordScore = (pieces: readonly Uint32Array[]) => number;

/**
 * alt-profanity-check's score of words: the sum of weight x idf over the length of the idf vector, each word counted once.
 * @throws {Error} the hashes are not in their order.
 */
export function createWordScore(list: WordListColumns): WordScore {
  const { hashes, weights, idfs, weightScale, idfScale } = list;
  if (hashes.some((hash, index) => index > 0 && hash <= (hashes[index - 1] ?? 0))) {
    throw new Error('The word list of the safety heads is not in the order of its hashes: fetch the weights again.');
  }
  const starts = new Uint32Array(2 ** prefixBits + 1);
  for (const hash of hashes) starts[(hash >>> prefixShift) + 1] = (starts[(hash >>> prefixShift) + 1] ?? 0) + 1;
  for (let prefix = 1; prefix < starts.length; prefix += 1) starts[prefix] = (starts[prefix] ?? 0) + (starts[prefix - 1] ?? 0);
  const find = (hash: number) => {
    const end = starts[(hash >>> prefixShift) + 1] ?? 0;
    for (let index = starts[hash >>> prefixShift] ?? 0; index < end; index += 1) if (hashes[index] === hash) return index;
    return -1;
  };
  const seen = new Distinct(hashes.length);
  return (pieces) => {
    seen.clear();
    let sum = 0;
    let square = 0;
    for (const words of pieces) {
      for (let word = 0; word < words.length; word += 1) {
        const index = find(words[word] ?? 0);
        if (index < 0 || !seen.add(index)) continue;
        sum += (weights[index] ?? 0) * weightScale;
        square += ((idfs[index] ?? 0) * idfScale) ** 2;
      }
    }
    return square === 0 ? 0 : sum / Math.sqrt(square);
  };
}
