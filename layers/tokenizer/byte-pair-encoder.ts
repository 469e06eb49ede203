/**
 * Byte pair encoding of one piece: the tokens that merging the adjacent pair of lowest rank, leftmost first, would end with.
 *
 * Two laws make it linear. A sequence of tokens is the encoding of its bytes exactly when every two neighbours are the encoding of
 * theirs: the first merge to cross a border in the whole would cross it in the pair alone too, where the same parts stand with the same
 * ranks. And whether two tokens stay apart is seen by taking their merges back along the border, latest first. So the tokens are
 * searched from the left, longest first, each fitting the one before; where nothing fits, the last token gives way to a shorter one, and
 * the position it ended at is never tried again. (Published for GitHub's Rust crate `bpe`, "So many tokens, so little time", 2024.)
 *
 * The longest token at a position is found by walking the hash table with a running hash: it holds every token and every beginning of one.
 */
import { BorderCache } from './border-cache.ts';
import { finishHash, HASH_START, hashBytes, hashPair, hashWord, idBitsFor } from './hash-table.ts';
import { PieceCache } from './piece-cache.ts';
import { MAX_SHORT_BYTES, ShortTokenCache } from './short-token-cache.ts';
import { NO_TOKEN, type Vocabulary } from './vocabulary-file.ts';

/** Steps of a search between two chances to pause: well under 5 ms. */
const STEPS_PER_TURN = 4096;
/** Longer pieces are searched in turns. */
const MAX_COMPOSED_BYTES = 3 * 4096;
const MAX_UNIT_BYTES = 36;
const SINGLE_BYTE = 0xffffffff;

/** A piece whose tokens are being searched. */
export interface PieceSearch {
  bytes: Uint8Array;
  start: number;
  end: number;
  /** The output holds the tokens of the bytes before this. */
  at: number;
  /** The output's length when the piece began. */
  outputStart: number;
  /** By bytes from `start`: 1 where no search goes on from. Allocated when the first is found. */
  deadEnds: Uint8Array | undefined;
}

export class BytePairEncoder {
  /** Where ids go: the caller sets it before and reads it after, for it may have grown. */
  output: Uint32Array = new Uint32Array(64);
  length = 0;

  readonly #tokenOffsets: Uint32Array;
  readonly #tokenBytes: Uint8Array;
  readonly #tokenSlots: Uint32Array;
  readonly #tokenShift: number;
  readonly #mergePairs: Uint32Array;
  readonly #mergeSlots: Uint32Array;
  readonly #mergeShift: number;
  /** Undefined when the ids themselves are in the order of their ranks. */
  readonly #ranks: Uint32Array | undefined;
  /** By id; undefined when no token is irregular. */
  readonly #irregular: Uint8Array | undefined;
  readonly #byteTokens: Uint32Array;
  readonly #idBits: number;
  /** Stands in the table for a beginning that is no token. */
  readonly #prefixId: number;
  readonly #longestToken: number;
  readonly #shortTokens = new ShortTokenCache();
  readonly #pieces = new PieceCache(2 ** 15, 2 ** 21);
  /** Of composed pieces. */
  readonly #units = new PieceCache(2 ** 13, 2 ** 17);
  readonly #borders = new BorderCache();
  readonly #decideBorder = (left: number, right: number): boolean => this.#stayApart(left, right);
  /** By code point: up to three ids, each plus one. Allocated at the first use. */
  #characters = new Uint32Array(0);
  readonly #unitStarts = new Uint32Array(MAX_COMPOSED_BYTES / 3);
  readonly #unitOutputs = new Uint32Array(MAX_COMPOSED_BYTES / 3);
  /** What the last walk found, shortest first. */
  readonly #candidates: Uint32Array;
  /** By byte: the longest token that is nothing but this byte, for runs, where every position would find it again. */
  readonly #longestInRun = new Uint32Array(256).fill(NO_TOKEN);
  /** By id: the token of `#shorter` plus one, or `SINGLE_BYTE`; 0 before it is found. Allocated at the first use. */
  #shorterTokens = new Uint32Array(0);

  constructor(vocabulary: Vocabulary) {
    this.#tokenOffsets = vocabulary.tokenOffsets;
    this.#tokenBytes = vocabulary.tokenBytes;
    this.#tokenSlots = vocabulary.tokenSlots;
    this.#tokenShift = Math.clz32(vocabulary.tokenSlots.length) + 1;
    this.#mergePairs = vocabulary.mergePairs;
    this.#mergeSlots = vocabulary.mergeSlots;
    this.#mergeShift = Math.clz32(vocabulary.mergeSlots.length) + 1;
    this.#ranks = vocabulary.mergeRanks.length === 0 ? undefined : vocabulary.mergeRanks;
    if (vocabulary.irregularTokens.length > 0) {
      this.#irregular = new Uint8Array(vocabulary.tokenOffsets.length);
      for (const id of vocabulary.irregularTokens) this.#irregular[id] = 1;
    }
    this.#byteTokens = vocabulary.byteTokens;
    this.#prefixId = vocabulary.tokenOffsets.length - 1;
    this.#idBits = idBitsFor(this.#prefixId);
    this.#longestToken = vocabulary.settings.longestToken;
    this.#candidates = new Uint32Array(this.#longestToken);
  }

  /** Appends the ids of one piece. @returns a search to go on with when the piece is so long that it should be done in turns. */
  encodePiece(bytes: Uint8Array, start: number, end: number): PieceSearch | undefined {
    if (end - start === 1) {
      const id = this.#byteTokens[bytes[start] as number] as number;
      if (id !== NO_TOKEN) this.#push(id);
      return undefined;
    }
    const length = end - start;
    if (length > MAX_SHORT_BYTES) return this.#encodeByHash(bytes, start, end);
    const low = packWord(bytes, start, length < 4 ? end : start + 4);
    const high = length > 4 ? packWord(bytes, start + 4, end) : 0;
    const slot = this.#shortTokens.slotOf(low, high);
    const known = this.#shortTokens.get(slot, low, high, length);
    if (known >= 0) {
      this.#push(known);
      return undefined;
    }
    const before = this.length;
    this.#encodeByHash(bytes, start, end); // so short a piece is always done at once
    if (this.length === before + 1) this.#shortTokens.set(slot, low, high, length, this.output[before] as number);
    return undefined;
  }

  #encodeByHash(bytes: Uint8Array, start: number, end: number): PieceSearch | undefined {
    if (end - start > MAX_COMPOSED_BYTES) return { bytes, start, end, at: start, outputStart: this.length, deadEnds: undefined };
    const hash = hashBytes(bytes, start, end);
    const id = end - start <= this.#longestToken ? this.#findToken(bytes, start, end, hash) : -1;
    if (id >= 0) {
      this.#push(id);
      return undefined;
    }
    return this.#encodeSpan(bytes, start, end, hash, this.#pieces);
  }

  /** Appends the ids of bytes that are no token: remembered ones, else composed or searched. */
  #encodeSpan(bytes: Uint8Array, start: number, end: number, hash: number, cache: PieceCache): PieceSearch | undefined {
    const entry = cache.find(bytes, start, end, hash);
    if (entry >= 0) {
      const count = cache.idCount(entry);
      if (this.length + count > this.output.length) this.#grow(count);
      this.length = cache.copyIds(entry, this.output, this.length);
      return undefined;
    }
    const before = this.length;
    if (cache === this.#units || !this.#composeCharacters(bytes, start, end)) {
      const search: PieceSearch = { bytes, start, end, at: start, outputStart: before, deadEnds: undefined };
      if (!this.continueSearch(search)) return search;
    }
    cache.add(bytes, start, end, hash, this.output, before, this.length);
    return undefined;
  }

  /**
   * Chinese and Japanese have long pieces that hardly ever come twice, made of few characters that do: so each character's ids are
   * remembered, and put side by side where the border between them stands (the first law above). Where it does not, the characters become
   * one unit, which is encoded anew and must fit its neighbours in turn.
   * @returns false, with nothing appended, for other text and for units that grow long.
   */
  #composeCharacters(bytes: Uint8Array, start: number, end: number): boolean {
    if ((bytes[start] as number) < 0xe3 || (end - start) % 3 !== 0) return false;
    const before = this.length;
    const unitStarts = this.#unitStarts;
    const unitOutputs = this.#unitOutputs;
    let units = 0;
    for (let at = start; at < end; at += 3) {
      const lead = bytes[at] as number;
      let unitStart = at;
      let unitOutput = this.length;
      if (!((lead >= 0xe3 && lead <= 0xe9) || lead === 0xef) || !this.#appendCharacter(bytes, at)) {
        this.length = before;
        return false;
      }
      while (
        units > 0 &&
        !this.#borders.has(this.output[unitOutput - 1] as number, this.output[unitOutput] as number, this.#decideBorder)
      ) {
        units -= 1;
        unitStart = unitStarts[units] as number;
        unitOutput = unitOutputs[units] as number;
        this.length = unitOutput;
        if (at + 3 - unitStart > MAX_UNIT_BYTES) {
          this.length = before;
          return false;
        }
        this.#appendUnit(bytes, unitStart, at + 3);
      }
      unitStarts[units] = unitStart;
      unitOutputs[units] = unitOutput;
      units += 1;
    }
    return true;
  }

  /** Appends the ids of the character of three bytes at `at`. @returns false when the vocabulary lacks one of its bytes. */
  #appendCharacter(bytes: Uint8Array, at: number): boolean {
    if (this.#characters.length === 0) this.#characters = new Uint32Array(0x10000 * 3);
    const characters = this.#characters;
    const codePoint =
      (((bytes[at] as number) & 0x0f) << 12) | (((bytes[at + 1] as number) & 0x3f) << 6) | ((bytes[at + 2] as number) & 0x3f);
    const slot = codePoint * 3;
    if (characters[slot] === 0) {
      for (let byte = at; byte < at + 3; byte++) if (this.#byteTokens[bytes[byte] as number] === NO_TOKEN) return false;
      const before = this.length;
      this.continueSearch({ bytes, start: at, end: at + 3, at, outputStart: before, deadEnds: undefined });
      for (let index = before; index < this.length; index++) characters[slot + index - before] = (this.output[index] as number) + 1;
      return true;
    }
    for (let index = slot; index < slot + 3 && characters[index] !== 0; index++) this.#push((characters[index] as number) - 1);
    return true;
  }

  /** Appends the ids of a unit of several characters, which merging may make one token. */
  #appendUnit(bytes: Uint8Array, start: number, end: number): void {
    const hash = hashBytes(bytes, start, end);
    const id = this.#findToken(bytes, start, end, hash);
    if (id >= 0 && this.#mergePairs[id * 2] !== NO_TOKEN) this.#push(id);
    else this.#encodeSpan(bytes, start, end, hash, this.#units);
  }

  /** Searches on for a bounded time. @returns true when the piece is done. */
  continueSearch(search: PieceSearch): boolean {
    let last = this.length > search.outputStart ? (this.output[this.length - 1] as number) : NO_TOKEN;
    for (let steps = STEPS_PER_TURN; steps > 0; steps--) {
      const { bytes, at, end } = search;
      if (at === end) return true;
      const longest = this.#findLongest(bytes, at, end);
      if (longest === NO_TOKEN) {
        this.#leaveOutMissingBytes(search);
        last = NO_TOKEN;
        continue;
      }
      const next = this.#chooseToken(longest, last, search);
      if (next >= 0) {
        this.#push(next);
        last = next;
        search.at = at + this.#byteLength(next);
      } else {
        last = this.#takeBack(search);
      }
    }
    return search.at === search.end;
  }

  /** The longest of `candidate` and its shorter beginnings that fits after `last` and does not end at a dead end; -1 when none does. */
  #chooseToken(candidate: number, last: number, search: PieceSearch): number {
    const { at, start, deadEnds } = search;
    for (let id = candidate; id !== NO_TOKEN; id = this.#shorter(id)) {
      if (deadEnds !== undefined && deadEnds[at + this.#byteLength(id) - start] === 1) continue;
      if (last === NO_TOKEN || this.#borders.has(last, id, this.#decideBorder)) return id;
    }
    return -1;
  }

  /** The longest token that the token begins with, other than itself; `NO_TOKEN` for a single byte. Found once a token. */
  #shorter(id: number): number {
    if (this.#shorterTokens.length === 0) this.#shorterTokens = new Uint32Array(this.#prefixId);
    const known = this.#shorterTokens[id] as number;
    if (known !== 0) return known === SINGLE_BYTE ? NO_TOKEN : known - 1;
    const start = this.#tokenOffsets[id] as number;
    const end = (this.#tokenOffsets[id + 1] as number) - 1;
    const shorter = end === start ? NO_TOKEN : this.#findLongest(this.#tokenBytes, start, end);
    this.#shorterTokens[id] = shorter === NO_TOKEN ? SINGLE_BYTE : shorter + 1;
    return shorter;
  }

  /** Marks the position as a dead end and replaces the last token by the next shorter one that fits, as far back as it takes. */
  #takeBack(search: PieceSearch): number {
    search.deadEnds ??= new Uint8Array(search.end - search.start + 1);
    for (;;) {
      if (this.length === search.outputStart) throw new Error('No tokens make these bytes: the vocabulary contradicts itself.');
      search.deadEnds[search.at - search.start] = 1;
      const popped = this.output[--this.length] as number;
      search.at -= this.#byteLength(popped);
      const last = this.length > search.outputStart ? (this.output[this.length - 1] as number) : NO_TOKEN;
      const next = this.#chooseToken(this.#shorter(popped), last, search);
      if (next >= 0) {
        this.#push(next);
        search.at += this.#byteLength(next);
        return next;
      }
    }
  }

  /** Begins the piece again without the bytes that the vocabulary has no token for: Hugging Face drops them before it merges. */
  #leaveOutMissingBytes(search: PieceSearch): void {
    search.bytes = search.bytes.slice(search.start, search.end).filter((byte) => this.#byteTokens[byte] !== NO_TOKEN);
    search.start = 0;
    search.at = 0;
    search.end = search.bytes.length;
    search.deadEnds = undefined;
    this.length = search.outputStart;
  }

  #byteLength(id: number): number {
    return (this.#tokenOffsets[id + 1] as number) - (this.#tokenOffsets[id] as number);
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
      if (id !== this.#prefixId && this.#isToken(id, bytes, start, end)) return id;
    }
  }

  #isToken(id: number, bytes: Uint8Array, start: number, end: number): boolean {
    const offset = this.#tokenOffsets[id] as number;
    if ((this.#tokenOffsets[id + 1] as number) - offset !== end - start) return false;
    const tokenBytes = this.#tokenBytes;
    for (let at = start, from = offset; at < end; at++, from++) if (bytes[at] !== tokenBytes[from]) return false;
    return true;
  }

  /** The longest token that merging can make and that the bytes at `start` begin with; `NO_TOKEN` when the first byte has none. */
  #findLongest(bytes: Uint8Array, start: number, textEnd: number): number {
    const slots = this.#tokenSlots;
    const mask = slots.length - 1;
    const idBits = this.#idBits;
    const candidates = this.#candidates;
    const single = this.#byteTokens[bytes[start] as number] as number;
    if (single === NO_TOKEN) return NO_TOKEN;
    const end = Math.min(textEnd, start + this.#longestToken);
    const inRun = end - start === this.#longestToken && isRun(bytes, start, end);
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
      for (let slot = whole >>> this.#tokenShift; ; slot = (slot + 1) & mask) {
        const entry = slots[slot] as number;
        if (entry === 0) break;
        if ((entry ^ tag) >>> idBits !== 0) continue;
        const id = (entry & ((1 << idBits) - 1)) - 1;
        // Whether the bytes are the same is seen at the end; the odd wrong one only makes the walk longer.
        if (id === this.#prefixId) {
          found = true;
          break;
        }
        if (this.#byteLength(id) !== length) continue;
        candidates[count++] = id;
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

  /** The token with the candidate's length and hash that is at `at` and that merging can make; -1 when there is none. */
  #confirm(candidate: number, bytes: Uint8Array, at: number): number {
    const end = at + this.#byteLength(candidate);
    const id = this.#isToken(candidate, bytes, at, end) ? candidate : this.#findToken(bytes, at, end, hashBytes(bytes, at, end));
    return id >= 0 && this.#mergePairs[id * 2] !== NO_TOKEN ? id : -1;
  }

  /** Whether no merge joins anything across the border of two tokens. */
  #stayApart(leftToken: number, rightToken: number): boolean {
    const irregular = this.#irregular;
    if (irregular !== undefined && (irregular[leftToken] === 1 || irregular[rightToken] === 1))
      return this.#mergeToSame(leftToken, rightToken);
    const pairs = this.#mergePairs;
    const ranks = this.#ranks;
    let left = leftToken;
    let right = rightToken;
    /** Merges across the border count only below this rank: later ones come after the merge that was taken back last. */
    let limit = NO_TOKEN;
    for (;;) {
      const joined = this.#findMerge(left, right);
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

  /** The same by the book, for tokens whose merges cannot be taken back in order: merge the bytes of both and look. */
  #mergeToSame(left: number, right: number): boolean {
    const bytes = [left, right].flatMap((id) => [...this.#tokenBytes.subarray(this.#tokenOffsets[id], this.#tokenOffsets[id + 1])]);
    const parts = bytes.map((byte) => this.#byteTokens[byte] as number);
    for (;;) {
      let best = -1;
      let lowest = NO_TOKEN;
      for (let at = 0; at + 1 < parts.length; at++) {
        const joined = this.#findMerge(parts[at] as number, parts[at + 1] as number);
        const rank = joined < 0 ? NO_TOKEN : this.#ranks === undefined ? joined : (this.#ranks[joined] as number);
        if (rank < lowest) {
          lowest = rank;
          best = at;
        }
      }
      if (best < 0) return parts.length === 2 && parts[0] === left && parts[1] === right;
      parts.splice(best, 2, this.#findMerge(parts[best] as number, parts[best + 1] as number));
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

  #push(id: number): void {
    if (this.length === this.output.length) this.#grow(1);
    this.output[this.length++] = id;
  }

  #grow(ids: number): void {
    const grown = new Uint32Array(Math.max(this.output.length * 2, this.length + ids));
    grown.set(this.output);
    this.output = grown;
  }
}

function isRun(bytes: Uint8Array, start: number, end: number): boolean {
  const first = bytes[start];
  for (let at = start + 1; at < end; at++) if (bytes[at] !== first) return false;
  return true;
}

/** Up to four bytes, little-endian. */
function packWord(bytes: Uint8Array, start: number, end: number): number {
  let word = 0;
  for (let at = start, shift = 0; at < end; at++, shift += 8) word |= (bytes[at] as number) << shift;
  return word;
}
