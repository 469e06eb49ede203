/**
 * The folded text of a stream with a map back to the raw one. `codes[i]` stands for raw code units `rawStarts[i]` to `rawEnds[i]`;
 * indices count from the start of the stream and stay valid, while `forget` drops what nobody needs any more. Invisible characters and
 * combining marks belong to the letter before them. A surrogate pair that is cut in two waits for its second half.
 */
import { foldCodePoint } from './fold-code-point.ts';

const firstCapacity = 256;

export class FoldedText {
  #codes = new Int32Array(0);
  /** The codes as one UTF-16 unit each, and the same memory as bytes: strings are made of those ten times faster. */
  #units = new Uint16Array(0);
  #bytes = Buffer.alloc(0);
  #rawStarts = new Uint32Array(0);
  #rawEnds = new Uint32Array(0);
  /** Codes that are kept. */
  #count = 0;
  /** Index of the first code that is still kept. */
  #first = 0;
  #rawLength = 0;
  #highSurrogate = 0;

  /** Index after the last folded code. */
  get length(): number {
    return this.#first + this.#count;
  }

  /** Raw code units that have been folded. Does not count a high surrogate that waits. */
  get rawLength(): number {
    return this.#rawLength;
  }

  /** Folded code point at an index that has not been forgotten; -1 outside of the text. */
  at(index: number): number {
    const place = index - this.#first;
    return place < this.#count ? (this.#codes[place] ?? -1) : -1;
  }

  rawStart(index: number): number {
    const place = index - this.#first;
    return place < this.#count ? (this.#rawStarts[place] ?? this.#rawLength) : this.#rawLength;
  }

  rawEnd(index: number): number {
    const place = index - this.#first;
    return place < this.#count ? (this.#rawEnds[place] ?? this.#rawLength) : this.#rawLength;
  }

  /** Folded codes `from` to `to` as a string of one code unit each: what lies beyond the BMP becomes U+FFFD, so that indices agree. */
  slice(from: number, to: number): string {
    const end = Math.min(to - this.#first, this.#count);
    return this.#bytes.toString('utf16le', 2 * (from - this.#first), 2 * end);
  }

  /** Makes room for so many more code units at once, so that a long text is not copied as it grows. */
  reserve(units: number): void {
    if (this.#count + units > this.#codes.length) this.#grow(this.#count + units);
  }

  /** Adds one UTF-16 code unit. */
  push(unit: number): void {
    if (unit < 0x80 && this.#highSurrogate === 0) {
      this.#rawLength += 1;
      this.#add(unit, this.#rawLength - 1);
      return;
    }
    const high = this.#highSurrogate;
    this.#highSurrogate = 0;
    if (high !== 0) {
      if (unit >= 0xdc00 && unit <= 0xdfff) {
        this.#fold(((high - 0xd800) << 10) + (unit - 0xdc00) + 0x10000, 2);
        return;
      }
      this.#fold(high, 1);
    }
    if (unit >= 0xd800 && unit <= 0xdbff) this.#highSurrogate = unit;
    else this.#fold(unit, 1);
  }

  /** The text is over: a high surrogate without its second half stands for itself. */
  end(): void {
    if (this.#highSurrogate !== 0) this.#fold(this.#highSurrogate, 1);
    this.#highSurrogate = 0;
  }

  /** Drops what lies before `index`, now and then. */
  forget(index: number): void {
    const dropped = index - this.#first;
    if (dropped < 4096) return;
    for (const column of [this.#codes, this.#units, this.#rawStarts, this.#rawEnds]) column.copyWithin(0, dropped, this.#count);
    this.#count -= dropped;
    this.#first = index;
  }

  #fold(codePoint: number, units: number): void {
    const start = this.#rawLength;
    this.#rawLength += units;
    const folded = foldCodePoint(codePoint);
    if (folded.length === 0 && this.#count > 0) this.#rawEnds[this.#count - 1] = this.#rawLength;
    for (const code of folded) this.#add(code, start);
  }

  /** A code that stands for the raw units from `start` to the last one. */
  #add(code: number, start: number): void {
    if (this.#count === this.#codes.length) this.#grow(this.#count + 1);
    this.#codes[this.#count] = code;
    this.#units[this.#count] = code > 0xffff ? 0xfffd : code;
    this.#rawStarts[this.#count] = start;
    this.#rawEnds[this.#count] = this.#rawLength;
    this.#count += 1;
  }

  #grow(needed: number): void {
    const capacity = Math.max(firstCapacity, this.#codes.length * 2, needed);
    const [codes, units] = [new Int32Array(capacity), new Uint16Array(capacity)];
    const [rawStarts, rawEnds] = [new Uint32Array(capacity), new Uint32Array(capacity)];
    codes.set(this.#codes);
    units.set(this.#units);
    rawStarts.set(this.#rawStarts);
    rawEnds.set(this.#rawEnds);
    [this.#codes, this.#units, this.#rawStarts, this.#rawEnds] = [codes, units, rawStarts, rawEnds];
    this.#bytes = Buffer.from(units.buffer);
  }
}
