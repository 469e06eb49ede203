/**
 * The folded text of a stream with a map back to the raw one. `codes[i]` stands for raw code units `rawStarts[i]` to `rawEnds[i]`;
 * indices count from the start of the stream and stay valid, while `forget` drops what nobody needs any more. Invisible characters and
 * combining marks belong to the letter before them. A surrogate pair that is cut in two waits for its second half.
 */
import { foldCodePoint } from './fold-code-point.ts';

/** Arguments of one call of `String.fromCharCode`. */
const sliceStep = 4096;

export class FoldedText {
  #codes: number[] = [];
  #rawStarts: number[] = [];
  #rawEnds: number[] = [];
  /** Index of the first code that is still kept. */
  #first = 0;
  #rawLength = 0;
  #highSurrogate = 0;

  /** Index after the last folded code. */
  get length(): number {
    return this.#first + this.#codes.length;
  }

  /** Raw code units that have been folded. Does not count a high surrogate that waits. */
  get rawLength(): number {
    return this.#rawLength;
  }

  /** Folded code point at an index that has not been forgotten; -1 outside of the text. */
  at(index: number): number {
    return this.#codes[index - this.#first] ?? -1;
  }

  rawStart(index: number): number {
    return this.#rawStarts[index - this.#first] ?? this.#rawLength;
  }

  rawEnd(index: number): number {
    return this.#rawEnds[index - this.#first] ?? this.#rawLength;
  }

  /** Folded codes `from` to `to` as a string of one code unit each: what lies beyond the BMP becomes U+FFFD, so that indices agree. */
  slice(from: number, to: number): string {
    let text = '';
    for (let start = from; start < to; start += sliceStep) {
      const codes = this.#codes.slice(start - this.#first, Math.min(start + sliceStep, to) - this.#first);
      text += String.fromCharCode(...codes.map((code) => (code > 0xffff ? 0xfffd : code)));
    }
    return text;
  }

  /** Adds one UTF-16 code unit. */
  push(unit: number): void {
    if (unit < 0x80 && this.#highSurrogate === 0) {
      this.#codes.push(unit);
      this.#rawStarts.push(this.#rawLength);
      this.#rawLength += 1;
      this.#rawEnds.push(this.#rawLength);
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
    const count = index - this.#first;
    if (count < 4096) return;
    this.#codes = this.#codes.slice(count);
    this.#rawStarts = this.#rawStarts.slice(count);
    this.#rawEnds = this.#rawEnds.slice(count);
    this.#first = index;
  }

  #fold(codePoint: number, units: number): void {
    const start = this.#rawLength;
    this.#rawLength += units;
    const folded = foldCodePoint(codePoint);
    if (folded.length === 0 && this.#rawEnds.length > 0) this.#rawEnds[this.#rawEnds.length - 1] = this.#rawLength;
    for (const code of folded) {
      this.#codes.push(code);
      this.#rawStarts.push(start);
      this.#rawEnds.push(this.#rawLength);
    }
  }
}
