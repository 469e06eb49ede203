/**
 * The second folding, for classifiers: words as a reader takes them. Lower case, signs inside words as letters ("h4te"), single letters with
 * one separator between them joined ("h a t e"), long repetitions shortened ("haaaate"). Marks of punctuation are words of their own. It looks
 * at whole windows, so it need not stream.
 */
import { isReadAs, leetLetter } from '../text/leet.ts';

const fewestSpacedLetters = 3;
const longestWord = 24;
const space = 32;

const isLetter = (code: number) => (code >= 97 && code <= 122) || code >= 0xaa;
const isDigit = (code: number) => code >= 48 && code <= 57;

/** @param text folded text, one code unit for each code point. At most 24 characters of a word are kept. */
export function readWords(text: string): string[] {
  const codes = joinSpacedLetters(text.toLowerCase());
  const words: string[] = [];
  let word: number[] = [];
  const endWord = () => {
    if (word.length > 0) words.push(String.fromCharCode(...word.slice(0, longestWord)));
    word = [];
  };
  for (let index = 0; index < codes.length; index += 1) {
    const code = codes[index] ?? space;
    const letter = readInside(codes, index);
    if (isLetter(letter) || isDigit(letter)) {
      // Three of a kind say no more than two.
      if (letter !== word.at(-1) || letter !== word.at(-2)) word.push(letter);
      continue;
    }
    // "don't" is one word.
    if (code === 39 && word.length > 0 && isLetter(codes[index + 1] ?? space)) continue;
    endWord();
    if (code > space) words.push(String.fromCharCode(code));
  }
  endWord();
  return words;
}

/** The code at `index`, or the letter that it stands for: when a letter follows, and one stands before or the word begins there. */
function readInside(codes: readonly number[], index: number): number {
  const code = codes[index] ?? space;
  const letter = leetLetter(code);
  if (letter === undefined) return code;
  const before = codes[index - 1] ?? space;
  const after = codes[index + 1] ?? space;
  if (!isLetter(after) && !(leetLetter(after) !== undefined && isLetter(codes[index + 2] ?? space))) return code;
  // A row of digits is a number.
  if (isDigit(code) && isDigit(before) && isDigit(isDigit(after) ? after : (codes[index - 2] ?? space))) return code;
  return isLetter(before) || leetLetter(before) !== undefined || before === space ? letter : code;
}

function joinSpacedLetters(text: string): number[] {
  const codes: number[] = [];
  for (let index = 0; index < text.length; index += 1) {
    const end = spacedEnd(text, index);
    if (end === 0) {
      codes.push(text.charCodeAt(index));
      continue;
    }
    for (; index < end; index += 2) codes.push(text.charCodeAt(index));
    // A wider gap separates the words that were spaced.
    index = end - 1;
  }
  return codes;
}

/** End of single letters from `start` on that one separator each stands between; 0 when there are fewer than three. */
function spacedEnd(text: string, start: number): number {
  const isSingle = (index: number) =>
    isSpaceable(text.charCodeAt(index)) && !isSpaceable(text.charCodeAt(index - 1)) && !isSpaceable(text.charCodeAt(index + 1));
  if (!isSingle(start)) return 0;
  const separator = text.charCodeAt(start + 1);
  let end = start + 1;
  while (text.charCodeAt(end) === separator && isSingle(end + 1)) end += 2;
  return (end - start + 1) / 2 >= fewestSpacedLetters ? end : 0;
}

function isSpaceable(code: number): boolean {
  return isLetter(code) || isDigit(code) || (leetLetter(code) !== undefined && isReadAs(code, leetLetter(code) ?? 0));
}
