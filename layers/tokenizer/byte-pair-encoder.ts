/**
 * Byte pair encoding of one piece: the tokens that merging the adjacent pair of lowest rank, leftmost first, would end with.
 *
 * Two laws make it linear. A sequence of tokens is the encoding of its bytes exactly when every two neighbours are the encoding of
 * theirs: the first merge to cross a border in the whole would cross it in the pair alone too, where the same parts stand with the same
 * ranks. And whether two tokens stay apart is seen by taking their merges back along the border, latest first. So the tokens are
 * searched from the left, longest first, each fitting the one before; where nothing fits, the last token gives way to a shorter one, and
 * the position it ended at is never tried again. (Published for GitHub's Rust crate `bpe`, "So many tokens, so little time", 2024.)
 *
 * Most pieces never come to that: they are a token, were seen before, are short enough to be merged by the book, or are ideographs.
 */
import { BorderCache } from './border-cache.ts';
import { hashBytes } from './hash-table.ts';
import { MergeTable } from './merge-table.ts';
import { PieceCache } from './piece-cache.ts';
import { MAX_SHORT_BYTES, ShortTokenCache } from './short-token-cache.ts';
import { TokenTable } from './token-table.ts';
import { NO_TOKEN, type Vocabulary } from './vocabulary-file.ts';

/** Steps of a search between two chances to pause: a few milliseconds at most. */
const STEPS_PER_TURN = 4096;
/** Pieces up to this are merged by the book. */
const MAX_MERGED_BYTES = 24;
/** Longer pieces are searched in turns. */
const MAX_COMPOSED_BYTES = 3 * 4096;
const MAX_UNIT_BYTES = 36;

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

  readonly #merges: MergeTable;
  readonly #tokens: TokenTable;
  readonly #byteTokens: Uint32Array;
  readonly #shortTokens = new ShortTokenCache();
  readonly #pieces = new PieceCache(2 ** 16, 2 ** 21);
  /** Of composed pieces. */
  readonly #units = new PieceCache(2 ** 13, 2 ** 17);
  readonly #borders = new BorderCache();
  readonly #decideBorder = (left: number, right: number): boolean => this.#merges.stayApart(left, right);
  /** By code point: up to three ids, each plus one. Allocated at the first use. */
  #characters = new Uint32Array(0);
  readonly #unitStarts = new Uint32Array(MAX_COMPOSED_BYTES / 3);
  readonly #unitOutputs = new Uint32Array(MAX_COMPOSED_BYTES / 3);

  constructor(vocabulary: Vocabulary) {
    this.#merges = new MergeTable(vocabulary);
    this.#tokens = new TokenTable(vocabulary, this.#merges);
    this.#byteTokens = vocabulary.byteTokens;
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
    const id = end - start <= this.#tokens.longest ? this.#tokens.find(bytes, start, end, hash) : -1;
    if (id >= 0) {
      this.#push(id);
      return undefined;
    }
    return this.#encodeSpan(bytes, start, end, hash, this.#pieces);
  }

  /** Appends the ids of bytes that are no token: remembered ones, else merged, composed or searched. */
  #encodeSpan(bytes: Uint8Array, start: number, end: number, hash: number, cache: PieceCache): PieceSearch | undefined {
    const entry = cache.find(bytes, start, end, hash);
    if (entry >= 0) {
      const count = cache.idCount(entry);
      if (this.length + count > this.output.length) this.#grow(count);
      this.length = cache.copyIds(entry, this.output, this.length);
      return undefined;
    }
    const before = this.length;
    const done = (cache === this.#pieces && this.#composeCharacters(bytes, start, end)) || this.#mergeShort(bytes, start, end);
    if (!done) {
      const search: PieceSearch = { bytes, start, end, at: start, outputStart: before, deadEnds: undefined };
      if (!this.continueSearch(search)) return search;
    }
    cache.add(bytes, start, end, hash, this.output, before, this.length);
    return undefined;
  }

  /** @returns false, with nothing appended, for a longer span, or one with a byte that the vocabulary lacks. */
  #mergeShort(bytes: Uint8Array, start: number, end: number): boolean {
    if (end - start > MAX_MERGED_BYTES) return false;
    const count = this.#merges.mergeByRank(bytes, start, end);
    const { parts } = this.#merges;
    for (let at = 0; at < count; at++) this.#push(parts[at] as number);
    return count >= 0;
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
    const id = this.#tokens.find(bytes, start, end, hash);
    if (id >= 0 && this.#merges.makes(id)) this.#push(id);
    else this.#encodeSpan(bytes, start, end, hash, this.#units);
  }

  /** Searches on for a bounded time. @returns true when the piece is done. */
  continueSearch(search: PieceSearch): boolean {
    let last = this.length > search.outputStart ? (this.output[this.length - 1] as number) : NO_TOKEN;
    for (let steps = STEPS_PER_TURN; steps > 0; steps--) {
      const { bytes, at, end } = search;
      if (at === end) return true;
      const longest = this.#tokens.findLongest(bytes, at, end);
      if (longest === NO_TOKEN) {
        this.#leaveOutMissingBytes(search);
        last = NO_TOKEN;
        continue;
      }
      const next = this.#chooseToken(longest, last, search);
      if (next >= 0) {
        this.#push(next);
        last = next;
        search.at = at + this.#tokens.byteLength(next);
      } else {
        last = this.#takeBack(search);
      }
    }
    return search.at === search.end;
  }

  /** The longest of `candidate` and its shorter beginnings that fits after `last` and does not end at a dead end; -1 when none does. */
  #chooseToken(candidate: number, last: number, search: PieceSearch): number {
    const { at, start, deadEnds } = search;
    for (let id = candidate; id !== NO_TOKEN; id = this.#tokens.shorter(id)) {
      if (deadEnds !== undefined && deadEnds[at + this.#tokens.byteLength(id) - start] === 1) continue;
      if (last === NO_TOKEN || this.#borders.has(last, id, this.#decideBorder)) return id;
    }
    return -1;
  }

  /** Marks the position as a dead end and replaces the last token by the next shorter one that fits, as far back as it takes. */
  #takeBack(search: PieceSearch): number {
    search.deadEnds ??= new Uint8Array(search.end - search.start + 1);
    for (;;) {
      if (this.length === search.outputStart) throw new Error('No tokens make these bytes: the vocabulary contradicts itself.');
      search.deadEnds[search.at - search.start] = 1;
      const popped = this.output[--this.length] as number;
      search.at -= this.#tokens.byteLength(popped);
      const last = this.length > search.outputStart ? (this.output[this.length - 1] as number) : NO_TOKEN;
      const next = this.#chooseToken(this.#tokens.shorter(popped), last, search);
      if (next >= 0) {
        this.#push(next);
        search.at += this.#tokens.byteLength(next);
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

/** Up to four bytes, little-endian. */
function packWord(bytes: Uint8Array, start: number, end: number): number {
  let word = 0;
  for (let at = start, shift = 0; at < end; at++, shift += 8) word |= (bytes[at] as number) << shift;
  return word;
}
