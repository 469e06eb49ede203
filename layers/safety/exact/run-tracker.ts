/**
 * Cuts folded text into runs: a word without spaces, or a word that a spaced number may begin with and what continues it ("4111 1111 ...",
 * "+1 (415) ...", "GB82 WEST ...", "born 12 March 1985"). Where a run begins and ends depends on the text alone, and no match of a
 * recogniser leaves its run; so a run is scanned once, when it is over, and only the run that is open must be held back.
 *
 * A run that reaches `windowLength` is scanned in windows that overlap by half: what begins in the first half of a window and ends inside
 * it is decided there. What begins there and reaches the window's end is longer than half a window: it is taken for a match and swallowed
 * to the end of the word. So no more than `windowLength` characters are ever held.
 */
import type { PiiKind, SecretKind } from '../span.ts';
import type { FoldedText } from '../text/folded-text.ts';
import { isDigit, isLetter, isUpper } from './characters.ts';
import { birthContextDistance, monthOf } from './dates-of-birth.ts';
import type { Recogniser, ReportMatch, Run } from './run.ts';
import { RunContext } from './run-context.ts';
import { readTraits } from './run-traits.ts';

/** Folded characters. No match of a recogniser but a key, a token or an encoded blob is longer than half of it. */
export const windowLength = 512;
const half = windowLength / 2;
/** "a::1" is the shortest value that a recogniser takes. */
const shortestMatch = 4;
const longestGap = 3;
/** An IBAN with a space after every fourth character; nothing else that may have spaces is longer. */
const longestJoinable = 34;
const mostAnswers = 256;

/** What a tracker tells: a match at indices of the folded text, or that the match which was left open ends. */
export interface RunListener {
  found(kind: PiiKind | SecretKind, rule: string, start: number, end: number): void;
  opened(kind: PiiKind | SecretKind, rule: string, start: number): void;
  closed(end: number): void;
}

const outside = 0;
const wordCharacter = 1;
const gapCharacter = 2;
const classes = new Uint8Array(128);
for (let code = 33; code < 127; code += 1) classes[code] = wordCharacter;
for (const code of '"<>[]{},;`|\\()') classes[code.charCodeAt(0)] = outside;
for (const code of ' ()') classes[code.charCodeAt(0)] = gapCharacter;

const comma = 44;
const openParenthesis = 40;
const plus = 43;

/** Which characters of the run that is scanned belong to a match: one run is scanned at a time. */
const taken = new Uint8Array(windowLength);

type State = 'idle' | 'word' | 'gap' | 'swallowing';

export class RunTracker {
  readonly #text: FoldedText;
  readonly #recognisers: readonly Recogniser[];
  readonly #listener: RunListener;
  readonly #context = new RunContext();
  readonly #answers = new Map<string, boolean>();
  #state: State = 'idle';
  /** Where the window that has not been scanned begins. */
  #start = 0;
  #wordStart = 0;
  #gapStart = 0;
  /** Matches that begin before this index have been reported by the window before. */
  #decidedUntil = 0;
  /** Whether the run has anything but letters: a plain word has nothing to find. */
  #isPlain = true;
  #spacing: 'digits' | 'iban' | 'birth' = 'digits';

  constructor(text: FoldedText, recognisers: readonly Recogniser[], listener: RunListener) {
    this.#text = text;
    this.#recognisers = recognisers;
    this.#listener = listener;
  }

  /** First index that may belong to a match which is not decided yet. */
  heldFrom(length: number): number {
    return this.#state === 'word' || this.#state === 'gap' ? this.#start : length;
  }

  /** The code at `index` has arrived. */
  advance(index: number, code: number): void {
    this.#read(index, code);
    const isOpen = this.#state === 'word' || this.#state === 'gap';
    if (isOpen && index + 1 - this.#start >= windowLength) this.#slide(index + 1);
  }

  #read(index: number, code: number): void {
    const kind = code < 128 ? (classes[code] ?? outside) : outside;
    if (this.#state === 'word') {
      if (kind === wordCharacter) {
        if (this.#isPlain && !isLetter(code)) this.#isPlain = false;
        return;
      }
      this.#endWord(index, code, kind);
    } else if (this.#state === 'gap') {
      if (kind === wordCharacter && this.#mayContinue(code)) {
        this.#state = 'word';
        this.#wordStart = index;
        this.#isPlain = false;
        return;
      }
      const isGap = kind === gapCharacter || (code === comma && this.#spacing === 'birth');
      if (isGap && index - this.#gapStart < longestGap) return;
      this.#scan(this.#gapStart, true);
      this.#state = 'idle';
    } else if (this.#state === 'swallowing') {
      if (kind === wordCharacter) return;
      this.#listener.closed(index);
      this.#state = 'idle';
    }
    if (this.#state !== 'idle') return;
    if (kind === wordCharacter) this.#begin('word', index, code);
    else if (code === openParenthesis) this.#begin('gap', index, code);
  }

  /** The text is over. */
  end(): void {
    const { length } = this.#text;
    if (this.#state === 'word') {
      this.#context.note(this.#text, this.#wordStart, length);
      this.#scan(length, true);
    } else if (this.#state === 'gap') this.#scan(this.#gapStart, true);
    else if (this.#state === 'swallowing') this.#listener.closed(length);
    this.#state = 'idle';
  }

  /** What was open belongs to something else. */
  reset(): void {
    this.#state = 'idle';
  }

  #begin(state: 'word' | 'gap', index: number, code: number): void {
    this.#state = state;
    this.#start = index;
    this.#wordStart = index;
    this.#gapStart = index;
    this.#decidedUntil = index;
    this.#isPlain = isLetter(code);
    this.#spacing = 'digits';
  }

  #endWord(index: number, code: number, kind: number): void {
    const spacing = this.#spacingAfter(index);
    this.#context.note(this.#text, this.#wordStart, index);
    if (spacing !== undefined && (kind === gapCharacter || (code === comma && spacing === 'birth'))) {
      this.#spacing = spacing;
      this.#state = 'gap';
      this.#gapStart = index;
      return;
    }
    this.#scan(index, true);
    this.#state = 'idle';
  }

  /** Whether a spaced number may go on after the word that ends here, and of which sort. */
  #spacingAfter(end: number): 'digits' | 'iban' | 'birth' | undefined {
    const text = this.#text;
    const start = this.#wordStart;
    const length = end - start;
    if (length > longestJoinable) return undefined;
    const first = text.at(start);
    if (start === this.#start && isUpper(first) && isUpper(text.at(start + 1)) && (length === 2 || isDigit(text.at(start + 2))))
      return 'iban';
    if (this.#spacing === 'iban' && this.#start < start) return end - this.#start <= longestJoinable + 8 ? 'iban' : undefined;
    if (this.#context.has('birth', start, birthContextDistance) && (isDigit(first) || monthOf(text.slice(start, end)) > 0)) return 'birth';
    for (let index = start; index < end; index += 1) {
      const code = text.at(index);
      if (!isDigit(code) && code !== plus && code !== 45 && code !== 46 && code !== 47) return undefined;
    }
    return isDigit(text.at(end - 1)) || first === plus ? 'digits' : undefined;
  }

  #mayContinue(code: number): boolean {
    if (isDigit(code) || code === plus) return true;
    if (this.#spacing === 'iban') return isUpper(code);
    return this.#spacing === 'birth' && isLetter(code);
  }

  #slide(end: number): void {
    const start = this.#start;
    this.#scan(end, false);
    // A match was left open: the state says so.
    if (this.#state === 'swallowing') return;
    this.#start = start + half;
    this.#decidedUntil = this.#start;
    if (this.#wordStart < this.#start) this.#wordStart = this.#start;
  }

  #scan(end: number, isOver: boolean): void {
    const start = this.#start;
    if (end - start < shortestMatch || (this.#isPlain && end - start < 20)) return;
    const text = this.#text.slice(start, end);
    const run: Run = {
      text,
      traits: readTraits(text),
      before: this.#text.at(start - 1),
      isOver,
      hasContext: (name, offset, distance) => this.#context.has(name, start + offset, distance),
      mayHaveContext: (name, distance) => this.#context.hasSince(name, start - distance),
      answers: this.#answers,
    };
    if (this.#answers.size > mostAnswers) this.#answers.clear();
    taken.fill(0);
    const report: ReportMatch = (kind, from, to, rule) => {
      for (let place = from; place < to; place += 1) if (taken[place] === 1) return;
      taken.fill(1, from, to);
      if (!isOver && from >= half) return;
      if (start + from < this.#decidedUntil) return;
      if (isOver || to < text.length) this.#listener.found(kind, rule, start + from, start + to);
      else if (this.#state !== 'swallowing') {
        this.#state = 'swallowing';
        this.#listener.opened(kind, rule, start + from);
      }
    };
    for (const recognise of this.#recognisers) recognise(run, report);
  }
}
