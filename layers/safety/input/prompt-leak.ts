/**
 * Whether an answer gives the system prompt away: it repeats `longestQuote` words of it in a row, as written or with other case, punctuation,
 * invisible characters or look-alikes. Works on a stream, as a function of the characters that have come and not of their chunks.
 *
 * A suffix automaton over the prompt's words (Blumer et al., 1985) tells for each word of the answer how many of the last words stand in the
 * prompt in a row. Held back are exactly those words that a continuation can still make a quote of; so nothing of a quote is ever seen.
 */
import { FoldedText } from '../text/folded-text.ts';

/** Words in a row that an answer may share with its instructions by chance or in good faith. */
const longestQuote = 12;
/** Words of a prompt that are compared; what stands behind them is not watched. */
const mostWords = 10_000;
const lettersAndDigits = /[\p{L}\p{N}]/u;
/** Scripts that write words without spaces between them: each character counts as a word. */
const unspaced = /[\p{Script=Han}\p{Script=Hiragana}\p{Script=Katakana}\p{Script=Thai}\p{Script=Lao}\p{Script=Khmer}\p{Script=Myanmar}]/u;

interface State {
  readonly next: Map<string, number>;
  link: number;
  /** Words of the longest text that ends here. */
  length: number;
  /** Words before and in the first place in the prompt where it ends. */
  readonly firstEnd: number;
}

/** A prompt, read once for all answers to it. */
export interface WatchedPrompt {
  readonly states: readonly State[];
  readonly wordCount: number;
  /** Distinct words, sorted. */
  readonly words: readonly string[];
}

/** @returns undefined for a prompt of fewer than twelve words: it cannot be told from ordinary talk. */
export function watchPrompt(systemPrompt: string): WatchedPrompt | undefined {
  const reader = new WordReader();
  const prompt: string[] = [];
  for (let index = 0; index < systemPrompt.length && prompt.length < mostWords; index += 1)
    reader.push(systemPrompt.charCodeAt(index), (word) => prompt.push(word));
  reader.end((word) => prompt.push(word));
  if (prompt.length < longestQuote) return undefined;
  return { states: buildAutomaton(prompt), wordCount: prompt.length, words: [...new Set(prompt)].sort() };
}

export interface PromptLeakStream {
  push(text: string): LeakRelease;
  /** The text is over. */
  flush(): LeakRelease;
  /** UTF-16 units that are held back now. */
  readonly heldLength: number;
}

export interface LeakRelease {
  readonly released: string;
  /** True from the word on that completes a quote. With `holds`, nothing of the quote is released then, and nothing after it. */
  readonly isLeaked: boolean;
}

/** One for each text of an answer. @param holds whether what may become a quote is held back, or leaks are only told */
export function createPromptLeakStream(prompt: WatchedPrompt, holds: boolean): PromptLeakStream {
  return new LeakStream(prompt, holds);
}

class LeakStream implements PromptLeakStream {
  readonly #prompt: WatchedPrompt;
  readonly #holds: boolean;
  readonly #reader = new WordReader();
  #state = 0;
  /** Words of the answer's end that stand in the prompt in a row. */
  #matched = 0;
  /** Where the last words began. */
  readonly #starts: number[] = [];
  #text = '';
  #releasedUntil = 0;
  #isLeaked = false;

  constructor(prompt: WatchedPrompt, holds: boolean) {
    this.#prompt = prompt;
    this.#holds = holds;
  }

  get heldLength(): number {
    return this.#text.length;
  }

  push(text: string): LeakRelease {
    if (this.#isLeaked && this.#holds) return { released: '', isLeaked: true };
    this.#text += text;
    for (let index = 0; index < text.length && !this.#isStopped; index += 1)
      this.#reader.push(text.charCodeAt(index), (word, start) => this.#read(word, start));
    return this.#release(this.#heldFrom());
  }

  flush(): LeakRelease {
    if (!this.#isStopped) this.#reader.end((word, start) => this.#read(word, start));
    return this.#release(this.#isStopped ? this.#heldFrom() : this.#reader.length);
  }

  get #isStopped(): boolean {
    return this.#isLeaked && this.#holds;
  }

  #read(word: string, start: number): void {
    if (this.#isStopped) return;
    this.#starts.push(start);
    if (this.#starts.length > longestQuote) this.#starts.shift();
    const { states } = this.#prompt;
    let next = states[this.#state]?.next.get(word);
    while (next === undefined && this.#state !== 0) {
      this.#state = states[this.#state]?.link ?? 0;
      this.#matched = states[this.#state]?.length ?? 0;
      next = states[this.#state]?.next.get(word);
    }
    this.#matched = next === undefined ? 0 : this.#matched + 1;
    this.#state = next ?? 0;
    if (this.#matched >= longestQuote) this.#isLeaked = true;
  }

  #heldFrom(): number {
    const { length, open } = this.#reader;
    if (!this.#holds) return length;
    const words = this.#isLeaked ? longestQuote : this.#quotableWords(open.text);
    const start = words === 0 ? undefined : this.#starts.at(-words);
    if (start !== undefined) return start;
    return open.text !== '' && this.#begins(open.text) ? open.start : length;
  }

  /**
   * How many of the last words a continuation can make a quote of. Shorter ends of them stand at earlier places of the prompt too, with more
   * behind them.
   */
  #quotableWords(open: string): number {
    const { states, wordCount } = this.#prompt;
    let words = this.#matched;
    for (let at = this.#state; at !== 0; at = states[at]?.link ?? 0) {
      const state = states[at];
      if (state === undefined) return 0;
      const goesOn = open === '' || [...state.next.keys()].some((word) => word.startsWith(open));
      if (goesOn && words + wordCount - state.firstEnd >= longestQuote) return words;
      words = states[state.link]?.length ?? 0;
    }
    return 0;
  }

  /** Whether some word of the prompt begins so. */
  #begins(open: string): boolean {
    const { words } = this.#prompt;
    let [low, high] = [0, words.length];
    while (low < high) {
      const middle = (low + high) >> 1;
      if ((words[middle] ?? '') < open) low = middle + 1;
      else high = middle;
    }
    return words[low]?.startsWith(open) === true;
  }

  #release(until: number): LeakRelease {
    const count = Math.max(until - this.#releasedUntil, 0);
    const released = this.#text.slice(0, count);
    this.#text = this.#isStopped ? '' : this.#text.slice(count);
    this.#releasedUntil += count;
    return { released, isLeaked: this.#isLeaked };
  }
}

/** Cuts a text into folded words of lower case; apostrophes belong to none. Tells a word when the character behind it has come. */
class WordReader {
  readonly #text = new FoldedText();
  #processed = 0;
  #word = '';
  #wordStart = 0;

  /** Raw units that have been read. The first half of a character is not read yet. */
  get length(): number {
    return this.#text.rawLength;
  }

  /** The word that has not ended. */
  get open(): { readonly text: string; readonly start: number } {
    return { text: this.#word, start: this.#wordStart };
  }

  push(unit: number, found: (word: string, start: number) => void): void {
    this.#text.push(unit);
    this.#advance(found);
  }

  end(found: (word: string, start: number) => void): void {
    this.#text.end();
    this.#advance(found);
    this.#endWord(found);
  }

  #advance(found: (word: string, start: number) => void): void {
    for (; this.#processed < this.#text.length; this.#processed += 1) {
      const character = String.fromCodePoint(this.#text.at(this.#processed)).toLowerCase();
      const start = this.#text.rawStart(this.#processed);
      if (!lettersAndDigits.test(character)) {
        if (character !== "'") this.#endWord(found);
        continue;
      }
      const isAlone = unspaced.test(character);
      if (isAlone) this.#endWord(found);
      if (this.#word === '') this.#wordStart = start;
      this.#word += character;
      if (isAlone) this.#endWord(found);
    }
    this.#text.forget(this.#processed);
  }

  #endWord(found: (word: string, start: number) => void): void {
    const word = this.#word;
    this.#word = '';
    if (word !== '') found(word, this.#wordStart);
  }
}

function buildAutomaton(words: readonly string[]): readonly State[] {
  const states: State[] = [{ next: new Map(), link: -1, length: 0, firstEnd: 0 }];
  const at = (index: number): State => {
    const state = states[index];
    if (state === undefined) throw new RangeError('a state of the automaton');
    return state;
  };
  let last = 0;
  for (const [position, word] of words.entries()) {
    const current = states.length;
    states.push({ next: new Map(), link: 0, length: at(last).length + 1, firstEnd: position + 1 });
    let from = last;
    while (from !== -1 && !at(from).next.has(word)) {
      at(from).next.set(word, current);
      from = at(from).link;
    }
    if (from !== -1) at(current).link = target(from, word);
    last = current;
  }
  return states;

  /** The state that `from` goes to with `word`, split off where it stands for longer texts too. */
  function target(from: number, word: string): number {
    const to = at(from).next.get(word) ?? 0;
    if (at(to).length === at(from).length + 1) return to;
    const copy = states.length;
    states.push({ next: new Map(at(to).next), link: at(to).link, length: at(from).length + 1, firstEnd: at(to).firstEnd });
    at(to).link = copy;
    for (let state = from; state !== -1 && at(state).next.get(word) === to; state = at(state).link) at(state).next.set(word, copy);
    return copy;
  }
}
