/**
 * A tenant's forbidden words and phrases, found in three readings of the text at once: as written, with signs read as letters ("b0mb"), and
 * with single letters joined ("b o m b"). Each reading is an Aho-Corasick automaton over folded lower-case text; runs of white space count
 * as one space. What is held back is the automaton's depth, and one character more where a whole word must end before the next letter.
 */

import { foldCodePoint } from '../text/fold-code-point.ts';
import type { FoldedText } from '../text/folded-text.ts';
import { isReadAs, leetClass } from '../text/leet.ts';
import { AhoCorasick } from './aho-corasick.ts';

export interface DenylistEntry {
  readonly text: string;
  /** `word` (the default) matches whole words only; `part` matches inside words too. */
  readonly match?: 'word' | 'part';
}

export interface CompiledDenylist {
  readonly name: string;
  readonly entries: readonly CompiledEntry[];
  readonly written: AhoCorasick;
  readonly leet: AhoCorasick;
  readonly spaced: AhoCorasick;
  readonly longest: number;
}

interface CompiledEntry {
  readonly codes: readonly number[];
  /** Only the letters, for the reading of spaced letters; empty when they are too few to mean anything. */
  readonly letters: readonly number[];
  readonly needsBoundaryBefore: boolean;
  readonly needsBoundaryAfter: boolean;
}

const space = 32;
const fewestSpacedLetters = 4;
const longestSeparator = 3;
export const longestEntry = 256;
export const mostEntries = 100_000;
/** What is known of the code points up to U+FFFF; zero where none has been asked. */
const kinds = new Uint8Array(0x10000);
const [letterKind, otherKind] = [1, 2];
const lowerCases = new Uint16Array(0x10000);
const lettersAndDigits = /[\p{L}\p{N}]/u;
/** Scripts that write words without spaces between them: no boundary to ask for. */
const unspaced = /[\p{Script=Han}\p{Script=Hiragana}\p{Script=Katakana}\p{Script=Thai}\p{Script=Lao}\p{Script=Khmer}\p{Script=Myanmar}]/u;

/**
 * Compiles a list once; streams share it and a new list replaces it for the streams that begin later.
 * @throws {RangeError} an entry is empty after folding or longer than 256 characters, or there are more than 100,000.
 */
export function compileDenylist(name: string, entries: readonly DenylistEntry[]): CompiledDenylist {
  if (entries.length > mostEntries)
    throw new RangeError(`Denylist ${name} has ${entries.length} entries; at most ${mostEntries} are allowed.`);
  const compiled = entries.map((entry, index) => compileEntry(name, entry, index));
  return {
    name,
    entries: compiled,
    written: new AhoCorasick(compiled.map((entry) => entry.codes)),
    leet: new AhoCorasick(compiled.map((entry) => entry.codes.map(leetClass))),
    spaced: new AhoCorasick(compiled.map((entry) => entry.letters.map(leetClass))),
    longest: compiled.reduce((longest, entry) => Math.max(longest, entry.codes.length), 0),
  };
}

/** Whether a text can be an entry. */
export function isDenylistEntry(text: string): boolean {
  const { length } = foldEntry(text);
  return length > 0 && length <= longestEntry;
}

function foldEntry(text: string): readonly number[] {
  const codes: number[] = [];
  for (const character of text.trim()) {
    for (const code of foldCodePoint(character.codePointAt(0) ?? 0)) {
      const lower = lowerCase(code);
      if (lower !== space || codes.at(-1) !== space) codes.push(lower);
    }
  }
  return codes;
}

function compileEntry(name: string, entry: DenylistEntry, index: number): CompiledEntry {
  const codes = foldEntry(entry.text);
  if (codes.length === 0 || codes.length > longestEntry) {
    throw new RangeError(`Entry ${index} of denylist ${name} must have 1 to ${longestEntry} visible characters.`);
  }
  const letters = codes.filter(isLetterOrDigit);
  const isWord = entry.match !== 'part';
  return {
    codes,
    letters: letters.length < fewestSpacedLetters ? [] : letters,
    needsBoundaryBefore: isWord && needsBoundary(codes[0] ?? space),
    needsBoundaryAfter: isWord && needsBoundary(codes.at(-1) ?? space),
  };
}

function needsBoundary(code: number): boolean {
  return isLetterOrDigit(code) && !unspaced.test(String.fromCodePoint(code));
}

function isLetterOrDigit(code: number): boolean {
  if (code < 128) return (code >= 48 && code <= 57) || (code >= 65 && code <= 90) || (code >= 97 && code <= 122);
  const known = kinds[code] ?? 0;
  if (known !== 0) return known === letterKind;
  const isIn = lettersAndDigits.test(String.fromCodePoint(code));
  if (code < kinds.length) kinds[code] = isIn ? letterKind : otherKind;
  return isIn;
}

function lowerCase(code: number): number {
  if (code < 128) return code >= 65 && code <= 90 ? code + 32 : code === 9 || code === 10 || code === 13 ? space : code;
  const known = lowerCases[code] ?? 0;
  if (known !== 0) return known;
  const lower = String.fromCodePoint(code).toLowerCase().codePointAt(0) ?? code;
  if (code < lowerCases.length) lowerCases[code] = lower;
  return lower;
}

/** Reports a match by its indices in the folded text. */
export type DenylistListener = (start: number, end: number, list: string) => void;

interface WaitingMatch {
  readonly start: number;
  readonly end: number;
}

/** One reading: an automaton, its state, and the indices of the characters that have led to the state. */
class Reading {
  readonly automaton: AhoCorasick;
  /** A ring. Characters that lead to no pattern are not in it: nothing that begins later reaches back over them. */
  readonly #positions: number[];
  #next = 0;
  #state = 0;

  constructor(automaton: AhoCorasick, longest: number) {
    this.automaton = automaton;
    this.#positions = new Array<number>(longest + 1).fill(0);
  }

  step(code: number, index: number): number {
    this.#state = this.automaton.step(this.#state, code);
    if (this.#state === 0) return 0;
    this.#positions[this.#next] = index;
    this.#next = (this.#next + 1) % this.#positions.length;
    return this.#state;
  }

  reset(): void {
    this.#state = 0;
  }

  /** Index of the character that was read `back` steps ago; 1 is the last one. */
  position(back: number): number {
    return this.#positions[(this.#next - back + this.#positions.length) % this.#positions.length] ?? 0;
  }

  heldFrom(length: number): number {
    const depth = this.automaton.depth(this.#state);
    return depth === 0 ? length : this.position(depth);
  }
}

export class DenylistTracker {
  readonly #text: FoldedText;
  readonly #list: CompiledDenylist;
  readonly #listener: DenylistListener;
  readonly #written: Reading;
  readonly #leet: Reading;
  readonly #spaced: Reading;
  #waiting: WaitingMatch[] = [];
  #waitingSpaced: WaitingMatch[] = [];
  #previous = space;
  #separatorLength = 0;

  constructor(text: FoldedText, list: CompiledDenylist, listener: DenylistListener) {
    this.#text = text;
    this.#list = list;
    this.#listener = listener;
    this.#written = new Reading(list.written, list.longest);
    this.#leet = new Reading(list.leet, list.longest);
    this.#spaced = new Reading(list.spaced, list.longest);
  }

  heldFrom(length: number): number {
    let from = Math.min(this.#written.heldFrom(length), this.#leet.heldFrom(length), this.#spaced.heldFrom(length));
    for (const match of this.#waiting) from = Math.min(from, match.start);
    for (const match of this.#waitingSpaced) from = Math.min(from, match.start);
    return from;
  }

  advance(index: number, foldedCode: number): void {
    const code = lowerCase(foldedCode);
    if (this.#waiting.length + this.#waitingSpaced.length > 0) this.#settle(isLetterOrDigit(code));
    if (code !== space || this.#previous !== space) {
      this.#read(this.#written, code, index, false);
      this.#read(this.#leet, leetClass(code), index, true);
    }
    if (!this.#list.spaced.isEmpty) this.#readSpaced(code, index);
    this.#previous = code;
  }

  #read(reading: Reading, code: number, index: number, isLeet: boolean): void {
    const state = reading.step(code, index);
    if (!reading.automaton.hasMatch(state)) return;
    reading.automaton.visitMatches(state, (pattern) => this.#match(reading, pattern, index, isLeet));
  }

  /** The text is over: whole words that waited for the next character end here. */
  end(): void {
    this.#settle(false);
  }

  #settle(isLetterNext: boolean): void {
    if (this.#waiting.length > 0) {
      if (!isLetterNext) for (const match of this.#waiting) this.#listener(match.start, match.end, this.#list.name);
      this.#waiting = [];
    }
    if (this.#waitingSpaced.length > 0) {
      if (!isLetterNext) for (const match of this.#waitingSpaced) this.#listener(match.start, match.end, this.#list.name);
      this.#waitingSpaced = [];
    }
  }

  #match(reading: Reading, pattern: number, index: number, isLeet: boolean): void {
    const entry = this.#list.entries[pattern];
    if (entry === undefined) return;
    const start = reading.position(entry.codes.length);
    if (entry.needsBoundaryBefore && isLetterOrDigit(this.#text.at(start - 1))) return;
    if (isLeet && !this.#isReadAs(reading, entry.codes, true)) return;
    if (entry.needsBoundaryAfter) this.#waiting.push({ start, end: index + 1 });
    else this.#listener(start, index + 1, this.#list.name);
  }

  /** Whether what was read is the entry with at least one sign for a letter: without one, the text as written matches it. */
  #isReadAs(reading: Reading, codes: readonly number[], needsSign: boolean): boolean {
    let signs = 0;
    for (let offset = 0; offset < codes.length; offset += 1) {
      const code = lowerCase(this.#text.at(reading.position(codes.length - offset)));
      const letter = codes[offset] ?? 0;
      if (code !== letter) signs += 1;
      if (!isReadAs(code, letter)) return false;
    }
    return signs > 0 || !needsSign;
  }

  /** Reads single letters with at most three other characters between them; two letters in a row end the reading. */
  #readSpaced(code: number, index: number): void {
    const isRead = isLetterOrDigit(code) || (this.#separatorLength > 0 && leetClass(code) !== code);
    if (!isRead) {
      this.#separatorLength += 1;
      if (this.#separatorLength > longestSeparator) this.#spaced.reset();
      return;
    }
    const isSingle = this.#separatorLength > 0 || index === 0;
    this.#separatorLength = 0;
    if (!isSingle) {
      this.#spaced.reset();
      return;
    }
    const state = this.#spaced.step(leetClass(code), index);
    if (!this.#list.spaced.hasMatch(state)) return;
    this.#list.spaced.visitMatches(state, (pattern) => {
      const letters = this.#list.entries[pattern]?.letters ?? [];
      if (!this.#isReadAs(this.#spaced, letters, false)) return;
      this.#waitingSpaced.push({ start: this.#spaced.position(letters.length), end: index + 1 });
    });
  }
}
