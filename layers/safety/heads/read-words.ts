/**
 * The second folding, for classifiers: words as a reader takes them. Lower case, signs inside words as letters ("h4te"), single letters with
 * one separator between them joined ("h a t e"), long repetitions shortened ("haaaate"). Marks of punctuation are words of their own. It looks
 * at whole windows, so it need not stream.
 */
import { leetLetter } from '../text/leet.ts';

const fewestSpacedLetters = 3;
const longestWord = 24;
const [space, apostrophe] = [32, 39];
/** Stands before, between and behind the words that are read. No word has it but the mark itself. */
const wordEdge = 95;
/** Spaces before and behind the text, so that a code's neighbours always exist. */
const margin = 2;

/** What a code unit of lower-case text may be in a word; zero for what separates words. The sign of the euro is a letter and a sign. */
const [letterBit, digitBit, signBit] = [1, 2, 4];
const kinds = new Uint8Array(0x10000);
for (let code = 0; code < kinds.length; code += 1) {
  const isLetter = (code >= 97 && code <= 122) || code >= 0xaa;
  const isDigit = code >= 48 && code <= 57;
  kinds[code] = (isLetter ? letterBit : 0) | (isDigit ? digitBit : 0) | (leetLetter(code) === 0 ? 0 : signBit);
}
const kindOf = (code: number) => kinds[code] ?? 0;
const isIn = (code: number, bits: number) => (kindOf(code) & bits) !== 0;

/** @param text folded text, one code unit for each code point. At most 24 characters of a word are kept. */
export function readWords(text: string): string[] {
  const reader = new WordReader();
  const count = reader.read(text);
  return Array.from({ length: count }, (_, word) =>
    String.fromCharCode(...reader.codes.subarray(reader.startOf(word), reader.endOf(word))),
  );
}

/**
 * Whether the words of two texts are those of the one text that they make together. They are not where a word is cut in two, where spaced letters
 * go on behind the border, and where a sign begins a line: only behind a space it stands for a letter there.
 */
export function readApartAsTogether(text: string, next: string): boolean {
  const end = text.slice(-3).toLowerCase();
  const start = next.slice(0, 2).toLowerCase();
  const border = end.charCodeAt(end.length - 1);
  if (!(border <= space)) return false;
  if (isSingleLetter(end, end.length - 2) && isSingleLetter(start, 0)) return false;
  return border === space || !isIn(start.charCodeAt(0), signBit);
}

function isSingleLetter(text: string, index: number): boolean {
  return kindOf(text.charCodeAt(index)) !== 0 && kindOf(text.charCodeAt(index - 1)) === 0 && kindOf(text.charCodeAt(index + 1)) === 0;
}

/** Reads one text after the other into the same memory. */
export class WordReader {
  #text = new Uint16Array(0);
  #codes = new Uint16Array(0);
  #ends = new Int32Array(0);

  /** The words' code units, with a `wordEdge` before the first and behind each. The next call of `read` overwrites them. */
  get codes(): Uint16Array {
    return this.#codes;
  }

  /** Where a word begins in `codes`, and where its last code unit is followed by the edge. */
  startOf(word: number): number {
    return word === 0 ? 1 : this.endOf(word - 1) + 1;
  }
  endOf(word: number): number {
    return this.#ends[word] ?? 0;
  }

  /** Gives the number of words. */
  read(text: string): number {
    const end = this.#joinSpacedLetters(this.#copy(text.toLowerCase()));
    const [letters, codes, ends] = [this.#text, this.#codes, this.#ends];
    let count = 0;
    let at = 1;
    let start = 1;
    codes[0] = wordEdge;
    for (let index = margin; index <= end; index += 1) {
      const code = letters[index] ?? space;
      const letter = isIn(code, signBit) ? this.#readSign(index) : code;
      if (isIn(letter, letterBit | digitBit)) {
        // Three of a kind say no more than two.
        const isThird = at - start >= 2 && letter === codes[at - 1] && letter === codes[at - 2];
        if (at - start < longestWord && !isThird) codes[at++] = letter;
        continue;
      }
      // "don't" is one word.
      if (code === apostrophe && at > start && isIn(letters[index + 1] ?? space, letterBit)) continue;
      if (at > start) {
        ends[count++] = at;
        codes[at++] = wordEdge;
      }
      if (code > space) {
        codes[at++] = code;
        ends[count++] = at;
        codes[at++] = wordEdge;
      }
      start = at;
    }
    return count;
  }

  /** Puts the text between spaces; gives where it ends. */
  #copy(text: string): number {
    this.#reserve(text.length + 2 * margin);
    const letters = this.#text;
    for (let index = 0; index < margin; index += 1) letters[index] = space;
    for (let index = 0; index < text.length; index += 1) letters[margin + index] = text.charCodeAt(index);
    return this.#endTextAt(margin + text.length);
  }

  #endTextAt(end: number): number {
    this.#text.fill(space, end, end + margin);
    return end;
  }

  /** Takes out what separates single letters; gives where the text ends then. */
  #joinSpacedLetters(end: number): number {
    const letters = this.#text;
    let at = margin;
    for (let index = margin; index < end; index += 1) {
      const spacedEnd = this.#spacedEnd(index);
      letters[at++] = letters[index] ?? space;
      if (spacedEnd === 0) continue;
      for (index += 2; index < spacedEnd; index += 2) letters[at++] = letters[index] ?? space;
      // A wider gap separates the words that were spaced.
      index = spacedEnd - 1;
    }
    return this.#endTextAt(at);
  }

  /** End of single letters from `start` on that one separator each stands between; 0 when there are fewer than three. */
  #spacedEnd(start: number): number {
    if (!this.#isSingle(start)) return 0;
    const letters = this.#text;
    const separator = letters[start + 1];
    let end = start + 1;
    while (letters[end] === separator && this.#isSingle(end + 1)) end += 2;
    return (end - start + 1) / 2 >= fewestSpacedLetters ? end : 0;
  }

  #isSingle(index: number): boolean {
    const letters = this.#text;
    return kindOf(letters[index] ?? space) !== 0 && kindOf(letters[index - 1] ?? space) === 0 && kindOf(letters[index + 1] ?? space) === 0;
  }

  /** The sign at `index`, or the letter that it stands for: when a letter follows, and one stands before or the word begins there. */
  #readSign(index: number): number {
    const letters = this.#text;
    const code = letters[index] ?? space;
    const [before, after] = [letters[index - 1] ?? space, letters[index + 1] ?? space];
    const [beforeThat, afterThat] = [letters[index - 2] ?? space, letters[index + 2] ?? space];
    if (!isIn(after, letterBit) && !(isIn(after, signBit) && isIn(afterThat, letterBit))) return code;
    // A row of digits is a number.
    if (isIn(code, digitBit) && isIn(before, digitBit) && isIn(isIn(after, digitBit) ? after : beforeThat, digitBit)) return code;
    return isIn(before, letterBit | signBit) || before === space ? leetLetter(code) : code;
  }

  #reserve(units: number): void {
    if (this.#text.length >= units) return;
    const capacity = Math.max(units, 2 * this.#text.length);
    this.#text = new Uint16Array(capacity);
    // A mark of punctuation is a word, and takes two places with its edge.
    this.#ends = new Int32Array(capacity);
    this.#codes = new Uint16Array(2 * capacity);
  }
}
