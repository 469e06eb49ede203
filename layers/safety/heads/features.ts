/**
 * Hashed n-grams of a window: of characters (2 to 5, inside words with their edges) and of words (1 and 2), as buckets. Each bucket counts
 * once, and the whole has length one: x = 1 / sqrt(number of buckets). The hash is FNV-1a over UTF-16 units; it is part of the weights' format.
 */
import { readWords } from './read-words.ts';

const offsetBasis = 0x811c9dc5;
const prime = 0x01000193;
const edge = 95;

/** FNV-1a, 32 bits, over a word; the key of the word list. */
export function hashWord(word: string): number {
  let hash = offsetBasis;
  for (let index = 0; index < word.length; index += 1) hash = Math.imul(hash ^ word.charCodeAt(index), prime);
  return hash >>> 0;
}

export class FeatureReader {
  readonly #mask: number;
  /** When a bucket was last seen, to count it once. */
  readonly #seen: Uint32Array;
  #round = 0;
  #buckets = new Int32Array(4096);
  #count = 0;

  /** @param bucketCount a power of two */
  constructor(bucketCount: number) {
    this.#mask = bucketCount - 1;
    this.#seen = new Uint32Array(bucketCount);
  }

  /** Buckets of a folded text, each once. The array is overwritten by the next call. */
  read(text: string): { readonly buckets: Int32Array; readonly words: readonly string[] } {
    this.#round += 1;
    this.#count = 0;
    const words = readWords(text);
    let previous = offsetBasis;
    for (const word of words) {
      this.#readCharacters(word);
      const hash = hashWord(word);
      this.#add(Math.imul(hash ^ 0x9e3779b9, prime));
      this.#add(Math.imul(previous, 31) ^ hash);
      previous = hash;
    }
    return { buckets: this.#buckets.subarray(0, this.#count), words };
  }

  #readCharacters(word: string): void {
    const last = word.length;
    for (let start = -1; start < last; start += 1) {
      let hash = offsetBasis;
      for (let length = 1; length <= 5 && start + length <= last + 1; length += 1) {
        const index = start + length - 1;
        hash = Math.imul(hash ^ (index < 0 || index >= last ? edge : word.charCodeAt(index)), prime);
        if (length >= 2) this.#add(hash ^ (hash >>> 15));
      }
    }
  }

  #add(hash: number): void {
    const bucket = (hash ^ (hash >>> 16)) & this.#mask;
    if (this.#seen[bucket] === this.#round) return;
    this.#seen[bucket] = this.#round;
    if (this.#count === this.#buckets.length) {
      const larger = new Int32Array(this.#buckets.length * 2);
      larger.set(this.#buckets);
      this.#buckets = larger;
    }
    this.#buckets[this.#count] = bucket;
    this.#count += 1;
  }
}
