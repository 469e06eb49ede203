/**
 * Cuts UTF-8 text into the pieces that byte pair encoding works in. Each family's published regular expression is written out by hand as
 * one scan without backtracking, so that no text can make it slower than linear; the tests hold every family against its expression.
 *
 * A scanner takes valid UTF-8 and the start of a piece and gives the piece's end. `end` counts as the end of the text.
 */
import { CharacterClass } from './character-class.ts';
import type { PreTokenizerName, Vocabulary } from './vocabulary-file.ts';

export type PieceScanner = (bytes: Uint8Array, at: number, end: number) => number;

const bit = (...classes: readonly number[]): number => classes.reduce((mask, each) => mask | (1 << each), 0);

const SPACES = bit(CharacterClass.space, CharacterClass.newline);
const NEWLINE = bit(CharacterClass.newline);
const NUMBER = bit(CharacterClass.number);
const LETTER = bit(CharacterClass.upper, CharacterClass.lower, CharacterClass.caseless);
const MARK = bit(CharacterClass.mark);
/** `[^\s\p{L}\p{N}]` */
const SIGN = bit(CharacterClass.other, CharacterClass.punctuation, CharacterClass.symbol, CharacterClass.mark);
/** `[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]` and `[\p{Ll}\p{Lm}\p{Lo}\p{M}]` */
const UPPER_SIDE = bit(CharacterClass.upper, CharacterClass.caseless, CharacterClass.mark);
const LOWER_SIDE = bit(CharacterClass.lower, CharacterClass.caseless, CharacterClass.mark);

const SPACE_BYTE = 0x20;
const APOSTROPHE = 0x27;
const SLASH = 0x2f;

function widthOf(lead: number): number {
  return lead < 0x80 ? 1 : lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4;
}

export function createPieceScanner(name: PreTokenizerName, { classBlocks, classRows }: Vocabulary): PieceScanner {
  /** Bit of the class of the character at `at`; 0 at the end. */
  const classBit = (bytes: Uint8Array, at: number, end: number): number => {
    if (at >= end) return 0;
    const lead = bytes[at] as number;
    return 1 << (lead < 0x80 ? (classRows[lead] as number) : wideClass(bytes, at, lead)); // U+0000 to U+00FF are row 0
  };

  const wideClass = (bytes: Uint8Array, at: number, lead: number): number => {
    const second = (bytes[at + 1] as number) & 0x3f;
    if (lead < 0xe0) return classOf(((lead & 0x1f) << 6) | second);
    const third = (bytes[at + 2] as number) & 0x3f;
    if (lead < 0xf0) return classOf(((lead & 0x0f) << 12) | (second << 6) | third);
    return classOf(((lead & 0x07) << 18) | (second << 12) | (third << 6) | ((bytes[at + 3] as number) & 0x3f));
  };

  const classOf = (codePoint: number): number => classRows[((classBlocks[codePoint >> 8] as number) << 8) | (codePoint & 0xff)] as number;

  /** End of the run of characters whose class is in `mask`. */
  const runEnd = (bytes: Uint8Array, from: number, end: number, mask: number): number => {
    let at = from;
    while (at < end) {
      const lead = bytes[at] as number;
      if (lead < 0x80) {
        if (((mask >>> (classRows[lead] as number)) & 1) === 0) break;
        at += 1;
      } else {
        if (((mask >>> wideClass(bytes, at, lead)) & 1) === 0) break;
        at += widthOf(lead);
      }
    }
    return at;
  };

  /** Start of the character before `at`. */
  const characterBefore = (bytes: Uint8Array, at: number): number => {
    let before = at - 1;
    while (((bytes[before] as number) & 0xc0) === 0x80) before -= 1;
    return before;
  };

  /** `\s+(?!\S)|\s+`: a run leaves its last character to what follows it, if it has another. */
  const whiteSpaceEnd = (bytes: Uint8Array, at: number, run: number, end: number): number => {
    if (run >= end) return run;
    const last = characterBefore(bytes, run);
    return last > at ? last : run;
  };

  /** `'(?:[sdmt]|ll|ve|re)`; `folded` adds upper case and U+017F, which case folding equates with s. 0 when there is none. */
  const contractionLength = (bytes: Uint8Array, at: number, end: number, folded: boolean): number => {
    if (at + 1 >= end || bytes[at] !== APOSTROPHE) return 0;
    const fold = folded ? 0x20 : 0;
    const first = bytes[at + 1] as number;
    switch (first | fold) {
      case 0x73: // s
      case 0x64: // d
      case 0x6d: // m
      case 0x74: // t
        return first < 0x80 ? 2 : 0;
      case 0x6c: // ll
        return at + 2 < end && ((bytes[at + 2] as number) | fold) === 0x6c ? 3 : 0;
      case 0x76: // ve
      case 0x72: // re
        return at + 2 < end && ((bytes[at + 2] as number) | fold) === 0x65 ? 3 : 0;
      default:
        return folded && first === 0xc5 && bytes[at + 2] === 0xbf ? 3 : 0;
    }
  };

  /**
   * `'(?:[sdmt]|ll|ve|re)| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+` (openai/gpt-2, encoder.py).
   * With `splitDigits` each number character is cut off first (Hugging Face's `Digits`), and the rest sees it as an end.
   */
  const gpt2 =
    (splitDigits: boolean): PieceScanner =>
    (bytes, at, end) => {
      const contraction = contractionLength(bytes, at, end, false);
      if (contraction > 0) return at + contraction;
      const start = bytes[at] === SPACE_BYTE ? at + 1 : at;
      const first = classBit(bytes, start, end);
      if ((first & LETTER) !== 0) return runEnd(bytes, start, end, LETTER);
      if ((first & SIGN) !== 0) return runEnd(bytes, start, end, SIGN);
      if ((first & NUMBER) !== 0) {
        if (!splitDigits) return runEnd(bytes, start, end, NUMBER);
        return start > at ? start : start + widthOf(bytes[start] as number);
      }
      const run = runEnd(bytes, start, end, SPACES);
      if (splitDigits && (classBit(bytes, run, end) & NUMBER) !== 0) return run;
      return whiteSpaceEnd(bytes, at, run, end);
    };

  /** `\p{N}{1,most}` */
  const numberEnd = (bytes: Uint8Array, from: number, end: number, most: number): number => {
    let at = from;
    for (let taken = 0; taken < most && (classBit(bytes, at, end) & NUMBER) !== 0; taken++) at += widthOf(bytes[at] as number);
    return at;
  };

  /** `\s*[\r\n]+|\s+(?!\S)|\s+` */
  const linesOrWhiteSpaceEnd = (bytes: Uint8Array, at: number, end: number): number => {
    const run = runEnd(bytes, at, end, SPACES);
    for (let last = run - 1; last >= at; last--) if (bytes[last] === 0x0a || bytes[last] === 0x0d) return last + 1;
    return whiteSpaceEnd(bytes, at, run, end);
  };

  /**
   * `(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+`
   * (tiktoken's cl100k_base, Llama 3; Qwen with one digit; Qwen 3.5 with marks among the letters).
   */
  const cl100k = (digits: number, letters: number): PieceScanner => {
    const signs = SIGN & ~letters;
    const words = LETTER | letters;
    return (bytes, at, end) => {
      const first = classBit(bytes, at, end);
      if ((first & words) !== 0) return runEnd(bytes, at, end, words);
      if ((first & NUMBER) !== 0) return numberEnd(bytes, at, end, digits);
      if ((first & NEWLINE) === 0) {
        const contraction = contractionLength(bytes, at, end, true);
        if (contraction > 0) return at + contraction;
        const second = at + widthOf(bytes[at] as number);
        const secondClass = classBit(bytes, second, end);
        if ((secondClass & words) !== 0) return runEnd(bytes, second, end, words);
        if ((first & signs) !== 0) return runEnd(bytes, runEnd(bytes, second, end, signs), end, NEWLINE);
        if (bytes[at] === SPACE_BYTE && (secondClass & signs) !== 0) {
          return runEnd(bytes, runEnd(bytes, second, end, signs), end, NEWLINE);
        }
      }
      return linesOrWhiteSpaceEnd(bytes, at, end);
    };
  };

  /** `U*L+` from `from` on, U being `UPPER_SIDE` and L `LOWER_SIDE`; -1 when it does not match. */
  const casedWordEnd = (bytes: Uint8Array, from: number, end: number): number => {
    const upper = runEnd(bytes, from, end, UPPER_SIDE);
    if ((classBit(bytes, upper, end) & LOWER_SIDE) !== 0) return runEnd(bytes, upper, end, LOWER_SIDE);
    for (let at = upper; at > from; ) {
      const before = characterBefore(bytes, at);
      if ((classBit(bytes, before, end) & LOWER_SIDE) !== 0) return at;
      at = before;
    }
    return -1;
  };

  /**
   * `P?U*L+C?|P?U+L*C?|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+` with P `[^\r\n\p{L}\p{N}]` and C the contractions
   * (tiktoken's o200k_base; Mistral's tekken with one digit and without C).
   */
  const o200k = (digits: number, contractions: boolean): PieceScanner => {
    const wordEnd = (bytes: Uint8Array, at: number, end: number, first: number): number => {
      const prefixed = (first & (LETTER | NUMBER | NEWLINE)) === 0;
      const second = prefixed ? at + widthOf(bytes[at] as number) : at;
      const cased = casedWordEnd(bytes, second, end);
      if (cased >= 0) return cased;
      // Only a mark is both a prefix and a letter of the word.
      if (prefixed && (first & MARK) !== 0) return casedWordEnd(bytes, at, end);
      const upper = runEnd(bytes, second, end, UPPER_SIDE);
      return upper > second ? upper : -1;
    };
    return (bytes, at, end) => {
      const first = classBit(bytes, at, end);
      if ((first & NUMBER) !== 0) return numberEnd(bytes, at, end, digits);
      if ((first & NEWLINE) === 0) {
        const word = wordEnd(bytes, at, end, first);
        if (word >= 0) return contractions ? word + contractionLength(bytes, word, end, true) : word;
        const second = (first & SIGN) !== 0 ? at : bytes[at] === SPACE_BYTE ? at + 1 : end;
        if ((classBit(bytes, second, end) & SIGN) !== 0) {
          let tail = runEnd(bytes, second, end, SIGN);
          while (tail < end && (bytes[tail] === SLASH || bytes[tail] === 0x0a || bytes[tail] === 0x0d)) tail += 1;
          return tail;
        }
      }
      return linesOrWhiteSpaceEnd(bytes, at, end);
    };
  };

  switch (name) {
    case 'gpt2':
      return gpt2(false);
    case 'gpt2-digits':
      return gpt2(true);
    case 'cl100k':
      return cl100k(3, 0);
    case 'qwen2':
      return cl100k(1, 0);
    case 'qwen3.5':
      return cl100k(1, MARK);
    case 'o200k':
      return o200k(3, true);
    case 'tekken':
      return o200k(1, false);
  }
}
