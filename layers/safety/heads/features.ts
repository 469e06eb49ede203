/**
 * Hashed n-grams of a window: of characters (2 to 5, inside words with their edges) and of words (1 and 2), as buckets. Each bucket counts
 * once, and the whole has length one: x = 1 / sqrt(number of buckets). The hash is FNV-1a over UTF-16 units; it is part of the weights' format.
 */
import { Distinct } from './distinct.ts';
import { WordReader } from './read-words.ts';

const offsetBasis = 0x811c9dc5;
const prime = 0x01000193;
const longestGram = 5;
/** No shorter word is in a word list. */
const shortestListed = 2;

const bigramOf = (first: number, second: number) => Math.imul(first, 31) ^ second;

/** FNV-1a, 32 bits, over a word; the key of the word list. */
export function hashWord(word: string): number {
  let hash = offsetBasis;
  for (let index = 0; index < word.length; index += 1) hash = Math.imul(hash ^ word.charCodeAt(index), prime);
  return hash >>> 0;
}

/** The arrays are overwritten when the next text is read. */
export interface Features {
  /** Each bucket once, in the order of the text. */
  readonly buckets: Int32Array;
  /** `hashWord` of every word of two letters or more, again where it comes again. */
  readonly words: Uint32Array;
  /** Hashes of the first and the last word; a text without words has only the hash of the empty one. */
  readonly first: number | undefined;
  readonly last: number;
  /** The bucket of the text's beginning and its first word as a bigram, -1 when another n-gram of the text has it too. */
  readonly opening: number;
}

/** Reads one text after the other into the same memory. */
export class FeatureReader {
  readonly #reader = new WordReader();
  readonly #mask: number;
  readonly #seen: Distinct;
  #buckets = new Int32Array(0);
  #added = new Int32Array(0);
  #opening = -1;
  #words = new Uint32Array(0);

  /** @param bucketCount a power of two */
  constructor(bucketCount: number) {
    this.#mask = bucketCount - 1;
    this.#seen = new Distinct(bucketCount);
  }

  /** @param text folded text */
  read(text: string): Features {
    const wordCount = this.#reader.read(text);
    const { codes } = this.#reader;
    this.#reserve(wordCount, this.#reader.endOf(wordCount - 1));
    this.#seen.clear();
    this.#opening = -1;
    let [count, listed, last] = [0, 0, offsetBasis];
    let first: number | undefined;
    for (let word = 0; word < wordCount; word += 1) {
      const [start, end] = [this.#reader.startOf(word), this.#reader.endOf(word)];
      count = this.#addGrams(codes, start, end, count);
      let hash = offsetBasis;
      for (let index = start; index < end; index += 1) hash = Math.imul(hash ^ (codes[index] ?? 0), prime);
      if (end - start >= shortestListed) this.#words[listed++] = hash;
      const before = this.#add(Math.imul(hash ^ 0x9e3779b9, prime), count);
      count = this.#add(bigramOf(last, hash), before);
      if (word === 0 && count > before) this.#opening = this.#buckets[before] ?? -1;
      first ??= hash;
      last = hash;
    }
    const [buckets, words] = [this.#buckets.subarray(0, count), this.#words.subarray(0, listed)];
    return { buckets, words, first, last, opening: this.#opening };
  }

  /**
   * Buckets that a text adds to those of the text before it, when both are read as one: their words must be the same then (see
   * `readApartAsTogether`). The array is overwritten by the next call.
   */
  added(before: Features, { buckets, opening, first }: Features): Int32Array {
    if (this.#added.length <= buckets.length) this.#added = new Int32Array(2 * (buckets.length + 1));
    const [seen, added] = [this.#seen, this.#added];
    seen.clear();
    for (let index = 0; index < before.buckets.length; index += 1) seen.add(before.buckets[index] ?? 0);
    let count = 0;
    for (let index = 0; index < buckets.length; index += 1) {
      const bucket = buckets[index] ?? 0;
      if (bucket !== opening && seen.add(bucket)) added[count++] = bucket;
    }
    const border = first === undefined ? opening : this.#bucketOf(bigramOf(before.last, first));
    if (border >= 0 && seen.add(border)) added[count++] = border;
    return added.subarray(0, count);
  }

  /** The n-grams of one word with the edge before it and behind it. */
  #addGrams(codes: Uint16Array, start: number, end: number, before: number): number {
    let count = before;
    for (let first = start - 1; first < end; first += 1) {
      let hash = Math.imul(offsetBasis ^ (codes[first] ?? 0), prime);
      const last = Math.min(first + longestGram - 1, end);
      for (let index = first + 1; index <= last; index += 1) {
        hash = Math.imul(hash ^ (codes[index] ?? 0), prime);
        count = this.#add(hash ^ (hash >>> 15), count);
      }
    }
    return count;
  }

  /** Puts the hash's bucket at `count`, unless the text had it before; gives the new count. */
  #add(hash: number, count: number): number {
    const bucket = this.#bucketOf(hash);
    if (this.#seen.add(bucket)) {
      this.#buckets[count] = bucket;
      return count + 1;
    }
    if (bucket === this.#opening) this.#opening = -1;
    return count;
  }

  #bucketOf(hash: number): number {
    return (hash ^ (hash >>> 16)) & this.#mask;
  }

  /** Four n-grams begin at each code and at the edge before a word; two more are the word's. */
  #reserve(words: number, codes: number): void {
    const most = 4 * (codes + 1) + 2 * words;
    if (this.#buckets.length < most) this.#buckets = new Int32Array(2 * most);
    if (this.#words.length < words) this.#words = new Uint32Array(2 * words);
  }
}
