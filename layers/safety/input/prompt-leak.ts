/**
 * Whether an answer gives the system prompt away: it repeats `longestQuote` words of it in a row, as written or with other case and punctuation.
 * Works on a stream; what is compared are hashes of runs of words, so that each word costs one look-up.
 */

import { hashWord } from '../heads/features.ts';
import { readWords } from '../heads/read-words.ts';

/** Words in a row that an answer may share with its instructions by chance or in good faith. */
const longestQuote = 12;
const shingle = 4;
/** Characters that a word may have before it is looked at anyway. */
const longestPending = 200;

export interface PromptLeakDetector {
  /** True from the word on that completes the quote. */
  push(text: string): boolean;
  flush(): boolean;
}

/** One for each answer. A prompt of fewer than twelve words cannot be told from ordinary talk: nothing is detected then. */
export function createPromptLeakDetector(systemPrompt: string): PromptLeakDetector {
  const prompt = plainWords(systemPrompt);
  const known = new Set(prompt.slice(shingle - 1).map((_, index) => hashWord(prompt.slice(index, index + shingle).join(' '))));
  let pending = '';
  let recent: string[] = [];
  let quoted = 0;
  let isLeaked = false;
  const read = (text: string) => {
    for (const word of plainWords(text)) {
      recent = [...recent, word].slice(-shingle);
      const isQuote = recent.length === shingle && known.has(hashWord(recent.join(' ')));
      quoted = isQuote ? Math.max(quoted + 1, shingle) : 0;
      if (quoted >= longestQuote) isLeaked = true;
    }
    return isLeaked;
  };
  return {
    push(text) {
      pending += text;
      const end = Math.max(pending.lastIndexOf(' '), pending.lastIndexOf('\n'));
      if (end < 0 && pending.length < longestPending) return isLeaked;
      const cut = end < 0 ? pending.length : end + 1;
      const ready = pending.slice(0, cut);
      pending = pending.slice(cut);
      return read(ready);
    },
    flush() {
      const ready = pending;
      pending = '';
      return read(ready);
    },
  };
}

function plainWords(text: string): string[] {
  return readWords(text).filter((word) => /[\p{L}\p{N}]/u.test(word));
}
