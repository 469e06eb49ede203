/**
 * The tokens of a vocabulary by their bytes. The hash table holds every token and every beginning of one, so that the longest token at a
 * position is found by walking along the bytes with a running hash until nothing goes on.
 */
import { finishHash, HASH_START, hashBytes, hashWord, idBitsFor } from './hash-table.ts';
import type { MergeTable } from './merge-table.ts';
import { NO_TOKEN, type Vocabulary } from './vocabulary-file.ts';

const SINGLE_BYTE = 0xffffffff;

export class TokenTable {
  /** Bytes of the longest token that text can become. */
  readonly longest: number;

  readonly #merges: MergeTable;
  readonly #offsets: Uint32Array;
  readonly #bytes: Uint8Array;
  readonly #slots: Uint32Array;
  readonly #shift: number;
  readonly #idBits: number;
  /** Stands in the table for a beginning that is no token. */
  readonly #prefixId: number;
  readonly #byteTokens: Uint32Array;
  /** What the last walk met, shortest first. */
  readonly #candidates: Uint32Array;
  /** By id: the token of `shorter` plus one, or `SINGLE_BYTE`; 0 before it is found. Allocated at the first use. */
  #shorterTokens = new Uint32Array(0);
  /** By byte: the longest token that is nothing but this byte, for runs, where every position would find it again. */
  readonly #longestInRun = new Uint32Array(256).fill(NO_TOKEN);

  constructor(vocabulary: Vocabulary, merges: MergeTable) {
    this.longest = vocabulary.settings.longestToken;
    this.#merges = merges;
    this.#offsets = vocabulary.tokenOffsets;
    this.#bytes = vocabulary.tokenBytes;
    this.#slots = vocabulary.tokenSlots;
    this.#shift = Math.clz32(vocabulary.tokenSlots.length) + 1;
    this.#prefixId = vocabulary.tokenOffsets.length - 1;
    this.#idBits = idBitsFor(this.#prefixId);
    this.#byteTokens = vocabulary.byteTokens;
    this.#candidates = new Uint32Array(this.longest);
  }

  byteLength(id: number): number {
    return (this.#offsets[id + 1] as number) - (this.#offsets[id] as number);
  }

  /** The token of these bytes, which a whole piece becomes; -1 when there is none. */
  find(bytes: Uint8Array, start: number, end: number, hash: number): number {
    const slots = this.#slots;
    const mask = slots.length - 1;
    const idBits = this.#idBits;
    const tag = hash << idBits;
    for (let slot = hash >>> this.#shift; ; slot = (slot + 1) & mask) {
      const entry = slots[slot] as number;
      if (entry === 0) return -1;
      if ((entry ^ tag) >>> idBits !== 0) continue;
      const id = (entry & ((1 << idBits) - 1)) - 1;
      if (id !== this.#prefixId && this.#isAt(id, bytes, start, end)) return id;
    }
  }

  /** The longest token that merging can make and that the bytes at `start` begin with; `NO_TOKEN` when the first byte has none. */
  findLongest(bytes: Uint8Array, start: number, textEnd: number): number {
    const slots = this.#slots;
    const mask = slots.length - 1;
    const idBits = this.#idBits;
    const candidates = this.#candidates;
    const single = this.#byteTokens[bytes[start] as number] as number;
    if (single === NO_TOKEN) return NO_TOKEN;
    const end = Math.min(textEnd, start + this.longest);
    const inRun = end - start === this.longest && isRun(bytes, start, end);
    const known = inRun ? (this.#longestInRun[bytes[start] as number] as number) : NO_TOKEN;
    if (known !== NO_TOKEN) return known;
    let count = 0;
    let hash = HASH_START;
    let tail = bytes[start] as number;
    for (let at = start + 1; at < end; at++) {
      const length = at + 1 - start;
      const shift = ((length - 1) & 3) << 3;
      tail |= (bytes[at] as number) << shift;
      if (shift === 24) {
        hash = hashWord(hash, tail);
        tail = 0;
      }
      const whole = finishHash(hash, tail, length);
      const tag = whole << idBits;
      let found = false;
      for (let slot = whole >>> this.#shift; ; slot = (slot + 1) & mask) {
        const entry = slots[slot] as number;
        if (entry === 0) break;
        if ((entry ^ tag) >>> idBits !== 0) continue;
        const id = (entry & ((1 << idBits) - 1)) - 1;
        // Whether the bytes are the same is seen at the end; the odd wrong one only makes the walk longer.
        if (id !== this.#prefixId) {
          if (this.byteLength(id) !== length) continue;
          candidates[count++] = id;
        }
        found = true;
        break;
      }
      if (!found) break;
    }
    while (count > 0) {
      const id = this.#confirm(candidates[--count] as number, bytes, start);
      if (id < 0) continue;
      if (inRun) this.#longestInRun[bytes[start] as number] = id;
      return id;
    }
    return single;
  }

  /** The longest token that the token begins with, other than itself; `NO_TOKEN` for a single byte. Found once a token. */
  shorter(id: number): number {
    if (this.#shorterTokens.length === 0) this.#shorterTokens = new Uint32Array(this.#prefixId);
    const known = this.#shorterTokens[id] as number;
    if (known !== 0) return known === SINGLE_BYTE ? NO_TOKEN : known - 1;
    const start = this.#offsets[id] as number;
    const end = (this.#offsets[id + 1] as number) - 1;
    const shorter = end === start ? NO_TOKEN : this.findLongest(this.#bytes, start, end);
    this.#shorterTokens[id] = shorter === NO_TOKEN ? SINGLE_BYTE : shorter + 1;
    return shorter;
  }

  /** The token with the candidate's length and hash that is at `at` and that merging can make; -1 when there is none. */
  #confirm(candidate: number, bytes: Uint8Array, at: number): number {
    const end = at + this.byteLength(candidate);
    const id = this.#isAt(candidate, bytes, at, end) ? candidate : this.find(bytes, at, end, hashBytes(bytes, at, end));
    return id >= 0 && this.#merges.makes(id) ? id : -1;
  }

  #isAt(id: number, bytes: Uint8Array, start: number, end: number): boolean {
    const offset = this.#offsets[id] as number;
    if ((this.#offsets[id + 1] as number) - offset !== end - start) return false;
    const tokenBytes = this.#bytes;
    for (let at = start, from = offset; at < end; at++, from++) if (bytes[at] !== tokenBytes[from]) return false;
    return true;
  }
}

function isRun(bytes: Uint8Array, start: number, end: number): boolean {
  const first = bytes[start];
  for (let at = start + 1; at < end; at++) if (bytes[at] !== first) return false;
  return true;
}
