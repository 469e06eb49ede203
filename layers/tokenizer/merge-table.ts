/**
 * The merges of a vocabulary: which token two neighbours make, and with which rank.
 */
import { hashPair, idBitsFor } from './hash-table.ts';
import { NO_TOKEN, type Vocabulary } from './vocabulary-file.ts';

/** Bytes that `mergeByRank` takes at most: two of the longest tokens. */
const MAX_PARTS = 2048;

export class MergeTable {
  /** After `mergeByRank`: the tokens. */
  readonly parts = new Int32Array(MAX_PARTS);
  /** By part: what it and the part after it merge into, or -1. */
  readonly #merged = new Int32Array(MAX_PARTS);

  readonly #pairs: Uint32Array;
  readonly #slots: Uint32Array;
  readonly #shift: number;
  readonly #idBits: number;
  /** Undefined when the ids themselves are in the order of their ranks. */
  readonly #ranks: Uint32Array | undefined;
  /** By id; undefined when no token is irregular. */
  readonly #irregular: Uint8Array | undefined;
  readonly #byteTokens: Uint32Array;
  readonly #tokenOffsets: Uint32Array;
  readonly #tokenBytes: Uint8Array;

  constructor(vocabulary: Vocabulary) {
    this.#pairs = vocabulary.mergePairs;
    this.#slots = vocabulary.mergeSlots;
    this.#shift = Math.clz32(vocabulary.mergeSlots.length) + 1;
    this.#idBits = idBitsFor(vocabulary.tokenOffsets.length - 1);
    this.#ranks = vocabulary.mergeRanks.length === 0 ? undefined : vocabulary.mergeRanks;
    this.#byteTokens = vocabulary.byteTokens;
    this.#tokenOffsets = vocabulary.tokenOffsets;
    this.#tokenBytes = vocabulary.tokenBytes;
    if (vocabulary.irregularTokens.length > 0) {
      this.#irregular = new Uint8Array(vocabulary.tokenOffsets.length);
      for (const id of vocabulary.irregularTokens) this.#irregular[id] = 1;
    }
  }

  /** Whether a merge makes the token, or it is a single byte: a token that neither is true of is only ever a whole piece. */
  makes(id: number): boolean {
    return this.#pairs[id * 2] !== NO_TOKEN;
  }

  /** The token that two neighbours merge into; -1 when no merge joins them. */
  find(left: number, right: number): number {
    const slots = this.#slots;
    const mask = slots.length - 1;
    const idBits = this.#idBits;
    const hash = hashPair(left, right);
    const tag = hash << idBits;
    for (let slot = hash >>> this.#shift; ; slot = (slot + 1) & mask) {
      const entry = slots[slot] as number;
      if (entry === 0) return -1;
      if ((entry ^ tag) >>> idBits !== 0) continue;
      const id = (entry & ((1 << idBits) - 1)) - 1;
      if (this.#pairs[id * 2] === left && this.#pairs[id * 2 + 1] === right) return id;
    }
  }

  /**
   * Byte pair encoding by the book, lowest rank first, leftmost first, into `parts`. Quadratic, so for short spans: there it asks only for
   * merges of tokens that are there, which are few and common, where a search asks for long and rare ones.
   * @returns the number of tokens; -1 when the vocabulary lacks a byte.
   */
  mergeByRank(bytes: Uint8Array, start: number, end: number): number {
    const { parts } = this;
    const merged = this.#merged;
    const ranks = this.#ranks;
    let count = end - start;
    for (let at = 0; at < count; at++) {
      const id = this.#byteTokens[bytes[start + at] as number] as number;
      if (id === NO_TOKEN) return -1;
      parts[at] = id;
    }
    for (let at = 0; at + 1 < count; at++) merged[at] = this.find(parts[at] as number, parts[at + 1] as number);
    for (;;) {
      let best = -1;
      let lowest = NO_TOKEN;
      for (let at = 0; at + 1 < count; at++) {
        const id = merged[at] as number;
        if (id < 0) continue;
        const rank = ranks === undefined ? id : (ranks[id] as number);
        if (rank < lowest) {
          lowest = rank;
          best = at;
        }
      }
      if (best < 0) return count;
      const id = merged[best] as number;
      parts[best] = id;
      count -= 1;
      for (let at = best + 1; at < count; at++) {
        parts[at] = parts[at + 1] as number;
        merged[at] = merged[at + 1] as number;
      }
      if (best > 0) merged[best - 1] = this.find(parts[best - 1] as number, id);
      if (best + 1 < count) merged[best] = this.find(id, parts[best + 1] as number);
    }
  }

  /**
   * Whether two tokens, side by side, are the encoding of their bytes: no merge joins anything across their border. Seen by taking their
   * merges back along the border, latest first.
   */
  stayApart(leftToken: number, rightToken: number): boolean {
    const irregular = this.#irregular;
    if (irregular !== undefined && (irregular[leftToken] === 1 || irregular[rightToken] === 1))
      return this.#mergeToSame(leftToken, rightToken);
    const pairs = this.#pairs;
    const ranks = this.#ranks;
    let left = leftToken;
    let right = rightToken;
    /** Merges across the border count only below this rank: later ones come after the merge that was taken back last. */
    let limit = NO_TOKEN;
    for (;;) {
      const joined = this.find(left, right);
      if (joined >= 0 && (ranks === undefined ? joined : (ranks[joined] as number)) < limit) return false;
      const leftRank = ranks === undefined ? left : (ranks[left] as number);
      const rightRank = ranks === undefined ? right : (ranks[right] as number);
      const leftInner = pairs[left * 2 + 1] as number;
      const rightInner = pairs[right * 2] as number;
      if (leftInner !== NO_TOKEN && (leftRank > rightRank || rightInner === NO_TOKEN)) {
        limit = leftRank; // of equal merges the left one comes first
        left = leftInner;
      } else if (rightInner !== NO_TOKEN) {
        limit = rightRank + 1;
        right = rightInner;
      } else {
        return true;
      }
    }
  }

  /** The same for tokens whose merges cannot be taken back in the order of their ranks: merge the bytes of both and look. */
  #mergeToSame(left: number, right: number): boolean {
    const offsets = this.#tokenOffsets;
    const leftBytes = this.#tokenBytes.subarray(offsets[left], offsets[left + 1]);
    const rightBytes = this.#tokenBytes.subarray(offsets[right], offsets[right + 1]);
    const both = new Uint8Array(leftBytes.length + rightBytes.length);
    both.set(leftBytes);
    both.set(rightBytes, leftBytes.length);
    return this.mergeByRank(both, 0, both.length) === 2 && this.parts[0] === left && this.parts[1] === right;
  }
}
