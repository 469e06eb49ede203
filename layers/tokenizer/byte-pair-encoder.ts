/**
 * Byte pair encoding of one piece: merge the adjacent pair of lowest rank, leftmost first, until no pair has a merge.
 *
 * A piece that is a token, or was seen a moment ago, is one probe. A short piece is merged by scanning for the lowest rank; a longer one
 * through a heap (n log n). A piece longer than `WINDOW_BYTES` goes window by window, by this law: a sequence of tokens is the encoding
 * of its bytes exactly when every two neighbours are the encoding of theirs. (The first merge to cross a border in the whole would
 * cross it in the pair alone too, where the same pairs stand with the same ranks. Published for GitHub's `bpe` crate.) So all but the
 * end of each window's tokens stand if they fit the tokens before them, and in the rare case that they do not, tokens are taken back
 * and the window grows. Work is linear in the piece's length, and can stop between two windows.
 */
import { hashBytes, hashPair, idBitsFor } from './hash-table.ts';
import { PieceCache } from './piece-cache.ts';
import { NO_TOKEN, type Vocabulary } from './vocabulary-file.ts';

const SCAN_PARTS = 40;
export const WINDOW_BYTES = 4096;
/** The end of a window that the next one encodes again. Tokens are at most `MAX_TOKEN_BYTES`, so each window keeps some. */
const OVERLAP_BYTES = 256;
/** Heap keys are `rank * POSITIONS + position`: ranks are below 2^22, so a key is exact in a double. */
const POSITIONS = 2 ** 31;
const NO_RANK = 0xffffffff;

/** A long piece that is being encoded. */
export interface LongPiece {
  readonly bytes: Uint8Array;
  readonly end: number;
  /** Bytes before this are in the output. */
  at: number;
  /** The output's length when the piece began. */
  readonly outputStart: number;
  windowBytes: number;
}

export class BytePairEncoder {
  /** Ids so far; the caller takes and resets them. */
  output = new Uint32Array(1024);
  length = 0;

  readonly #tokenOffsets: Uint32Array;
  readonly #tokenBytes: Uint8Array;
  readonly #tokenSlots: Uint32Array;
  readonly #tokenShift: number;
  readonly #mergePairs: Uint32Array;
  readonly #mergeSlots: Uint32Array;
  readonly #mergeShift: number;
  readonly #mergeRanks: Uint32Array;
  readonly #ranksAreIds: boolean;
  readonly #byteTokens: Uint32Array;
  readonly #lacksBytes: boolean;
  readonly #idBits: number;
  readonly #cache = new PieceCache();

  /** The piece's parts; each merge overwrites the left one. */
  #parts = new Uint32Array(SCAN_PARTS + 1);
  /** By part: what it and the part after it merge into, and the merge's rank. */
  #merged = new Uint32Array(SCAN_PARTS + 1);
  #ranks = new Uint32Array(SCAN_PARTS + 1);
  #next = new Int32Array(0);
  #previous = new Int32Array(0);
  #heap = new Float64Array(0);
  #heapLength = 0;

  constructor(vocabulary: Vocabulary) {
    this.#tokenOffsets = vocabulary.tokenOffsets;
    this.#tokenBytes = vocabulary.tokenBytes;
    this.#tokenSlots = vocabulary.tokenSlots;
    this.#tokenShift = Math.clz32(vocabulary.tokenSlots.length) + 1;
    this.#mergePairs = vocabulary.mergePairs;
    this.#mergeSlots = vocabulary.mergeSlots;
    this.#mergeShift = Math.clz32(vocabulary.mergeSlots.length) + 1;
    this.#mergeRanks = vocabulary.mergeRanks;
    this.#ranksAreIds = vocabulary.mergeRanks.length === 0;
    this.#byteTokens = vocabulary.byteTokens;
    this.#lacksBytes = vocabulary.byteTokens.includes(NO_TOKEN);
    this.#idBits = idBitsFor(vocabulary.tokenOffsets.length - 1);
  }

  /** Appends the ids of one piece of at most `WINDOW_BYTES`. */
  encodePiece(bytes: Uint8Array, start: number, end: number): void {
    if (end - start === 1) {
      const id = this.#byteTokens[bytes[start] as number] as number;
      if (id !== NO_TOKEN) this.#push(id);
      return;
    }
    const hash = hashBytes(bytes, start, end);
    const id = this.#findToken(bytes, start, end, hash);
    if (id >= 0) {
      this.#push(id);
      return;
    }
    const cache = this.#cache;
    const entry = cache.find(bytes, start, end, hash);
    if (entry >= 0) {
      this.length = cache.copyIds(entry, this.#reserve(cache.idCount(entry)), this.length);
      return;
    }
    const before = this.length;
    this.#mergeSpan(bytes, start, end);
    cache.add(bytes, start, end, hash, this.output, before, this.length);
  }

  beginLongPiece(bytes: Uint8Array, start: number, end: number): LongPiece {
    const whole = this.#lacksBytes ? this.#withoutMissingBytes(bytes, start, end) : bytes;
    const [from, to] = whole === bytes ? [start, end] : [0, whole.length];
    return { bytes: whole, at: from, end: to, outputStart: this.length, windowBytes: WINDOW_BYTES };
  }

  /** Encodes one more window. @returns true when the piece is done. */
  continueLongPiece(piece: LongPiece): boolean {
    const { bytes, at, end } = piece;
    if (at === end) return true;
    const windowEnd = Math.min(end, at + piece.windowBytes);
    const before = this.length;
    this.#mergeSpan(bytes, at, windowEnd);
    if (before > piece.outputStart && !this.#fits(this.output[before - 1] as number, this.output[before] as number)) {
      this.length = before;
      this.#takeBack(piece);
      return false;
    }
    if (windowEnd === end) {
      piece.at = end;
      return true;
    }
    let kept = this.length;
    let keptEnd = windowEnd;
    while (kept > before && keptEnd > windowEnd - OVERLAP_BYTES) keptEnd -= this.#byteLength(this.output[--kept] as number);
    this.length = kept;
    piece.at = keptEnd;
    piece.windowBytes = WINDOW_BYTES;
    return false;
  }

  /** Takes as many bytes back as the window has, and doubles the window, so that in the end the whole piece is one window. */
  #takeBack(piece: LongPiece): void {
    const target = piece.at - piece.windowBytes / 2;
    while (this.length > piece.outputStart && piece.at > target) piece.at -= this.#byteLength(this.output[--this.length] as number);
    piece.windowBytes *= 2;
  }

  /** Whether two tokens, side by side, are the encoding of their bytes. */
  #fits(left: number, right: number): boolean {
    const leftBytes = this.#byteLength(left);
    const both = new Uint8Array(leftBytes + this.#byteLength(right));
    both.set(this.#tokenBytes.subarray(this.#tokenOffsets[left] as number, this.#tokenOffsets[left + 1] as number));
    both.set(this.#tokenBytes.subarray(this.#tokenOffsets[right] as number, this.#tokenOffsets[right + 1] as number), leftBytes);
    const before = this.length;
    this.#mergeSpan(both, 0, both.length);
    const fits = this.length === before + 2 && this.output[before] === left && this.output[before + 1] === right;
    this.length = before;
    return fits;
  }

  #byteLength(id: number): number {
    return (this.#tokenOffsets[id + 1] as number) - (this.#tokenOffsets[id] as number);
  }

  #withoutMissingBytes(bytes: Uint8Array, start: number, end: number): Uint8Array {
    const span = bytes.subarray(start, end);
    const present = span.filter((byte) => this.#byteTokens[byte] !== NO_TOKEN);
    return present.length === span.length ? bytes : present;
  }

  #findToken(bytes: Uint8Array, start: number, end: number, hash: number): number {
    const slots = this.#tokenSlots;
    const mask = slots.length - 1;
    const idBits = this.#idBits;
    const tag = hash << idBits;
    for (let slot = hash >>> this.#tokenShift; ; slot = (slot + 1) & mask) {
      const entry = slots[slot] as number;
      if (entry === 0) return -1;
      if ((entry ^ tag) >>> idBits !== 0) continue;
      const id = (entry & ((1 << idBits) - 1)) - 1;
      const offset = this.#tokenOffsets[id] as number;
      if ((this.#tokenOffsets[id + 1] as number) - offset !== end - start) continue;
      const tokenBytes = this.#tokenBytes;
      let at = start;
      while (at < end && bytes[at] === tokenBytes[offset + at - start]) at += 1;
      if (at === end) return id;
    }
  }

  /** The token that two neighbours merge into; -1 when no merge joins them. */
  #findMerge(left: number, right: number): number {
    const slots = this.#mergeSlots;
    const mask = slots.length - 1;
    const idBits = this.#idBits;
    const hash = hashPair(left, right);
    const tag = hash << idBits;
    for (let slot = hash >>> this.#mergeShift; ; slot = (slot + 1) & mask) {
      const entry = slots[slot] as number;
      if (entry === 0) return -1;
      if ((entry ^ tag) >>> idBits !== 0) continue;
      const id = (entry & ((1 << idBits) - 1)) - 1;
      if (this.#mergePairs[id * 2] === left && this.#mergePairs[id * 2 + 1] === right) return id;
    }
  }

  /** Writes what parts `left` and `right` merge into beside `at`. */
  #setMerge(at: number, left: number, right: number): number {
    const id = this.#findMerge(left, right);
    this.#merged[at] = id;
    const rank = id < 0 ? NO_RANK : this.#ranksAreIds ? id : (this.#mergeRanks[id] as number);
    this.#ranks[at] = rank;
    return rank;
  }

  #mergeSpan(bytes: Uint8Array, start: number, end: number): void {
    if (end - start > SCAN_PARTS) this.#growWorkspace(end - start);
    const parts = this.#parts;
    let count = 0;
    for (let at = start; at < end; at++) {
      const id = this.#byteTokens[bytes[at] as number] as number;
      if (id !== NO_TOKEN) parts[count++] = id;
    }
    if (count === 0) return;
    if (count <= SCAN_PARTS) this.#mergeByScan(count);
    else this.#mergeByHeap(count);
  }

  #mergeByScan(partCount: number): void {
    const parts = this.#parts;
    const merged = this.#merged;
    const ranks = this.#ranks;
    let count = partCount;
    for (let at = 0; at + 1 < count; at++) this.#setMerge(at, parts[at] as number, parts[at + 1] as number);
    while (count > 1) {
      let best = -1;
      let lowest = NO_RANK;
      for (let at = 0; at + 1 < count; at++) {
        const rank = ranks[at] as number;
        if (rank < lowest) {
          lowest = rank;
          best = at;
        }
      }
      if (best < 0) break;
      const id = merged[best] as number;
      parts[best] = id;
      count -= 1;
      for (let at = best + 1; at < count; at++) {
        parts[at] = parts[at + 1] as number;
        merged[at] = merged[at + 1] as number;
        ranks[at] = ranks[at + 1] as number;
      }
      if (best > 0) this.#setMerge(best - 1, parts[best - 1] as number, id);
      if (best + 1 < count) this.#setMerge(best, id, parts[best + 1] as number);
    }
    const output = this.#reserve(count);
    for (let at = 0; at < count; at++) output[this.length++] = parts[at] as number;
  }

  /** The parts are a doubly linked list; a heap entry is stale when its part no longer has that rank. */
  #mergeByHeap(count: number): void {
    const parts = this.#parts;
    const ranks = this.#ranks;
    const next = this.#next;
    const previous = this.#previous;
    this.#heapLength = 0;
    for (let at = 0; at < count; at++) {
      next[at] = at + 1;
      previous[at] = at - 1;
      ranks[at] = NO_RANK;
    }
    for (let at = 0; at + 1 < count; at++) this.#offer(at, parts[at] as number, parts[at + 1] as number);
    while (this.#heapLength > 0) {
      const key = this.#takeLowest();
      const rank = Math.floor(key / POSITIONS);
      const at = key - rank * POSITIONS;
      if (ranks[at] !== rank) continue;
      const right = next[at] as number;
      const after = next[right] as number;
      const before = previous[at] as number;
      const id = this.#merged[at] as number;
      parts[at] = id;
      ranks[at] = NO_RANK;
      ranks[right] = NO_RANK;
      next[at] = after;
      if (after < count) {
        previous[after] = at;
        this.#offer(at, id, parts[after] as number);
      }
      if (before >= 0) this.#offer(before, parts[before] as number, id);
    }
    const output = this.#reserve(count);
    for (let at = 0; at < count; at = next[at] as number) output[this.length++] = parts[at] as number;
  }

  #offer(at: number, left: number, right: number): void {
    const rank = this.#setMerge(at, left, right);
    if (rank === NO_RANK) return;
    const heap = this.#heap;
    const key = rank * POSITIONS + at;
    let child = this.#heapLength++;
    while (child > 0) {
      const parent = (child - 1) >> 1;
      const above = heap[parent] as number;
      if (above <= key) break;
      heap[child] = above;
      child = parent;
    }
    heap[child] = key;
  }

  #takeLowest(): number {
    const heap = this.#heap;
    const lowest = heap[0] as number;
    const length = --this.#heapLength;
    const key = heap[length] as number;
    let hole = 0;
    for (let child = 1; child < length; child = hole * 2 + 1) {
      if (child + 1 < length && (heap[child + 1] as number) < (heap[child] as number)) child += 1;
      if ((heap[child] as number) >= key) break;
      heap[hole] = heap[child] as number;
      hole = child;
    }
    heap[hole] = key;
    return lowest;
  }

  #growWorkspace(parts: number): void {
    if (this.#next.length >= parts) return;
    const size = 2 ** (32 - Math.clz32(parts));
    this.#parts = new Uint32Array(size);
    this.#merged = new Uint32Array(size);
    this.#ranks = new Uint32Array(size);
    this.#next = new Int32Array(size);
    this.#previous = new Int32Array(size);
    this.#heap = new Float64Array(size * 3); // each part is offered once at first and at most twice a merge
  }

  #push(id: number): void {
    if (this.length === this.output.length) this.#reserve(1);
    this.output[this.length++] = id;
  }

  #reserve(ids: number): Uint32Array {
    if (this.length + ids > this.output.length) {
      const grown = new Uint32Array(Math.max(this.output.length * 2, this.length + ids));
      grown.set(this.output);
      this.output = grown;
    }
    return this.output;
  }
}
