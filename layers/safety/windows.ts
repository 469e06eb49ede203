/**
 * Windows that classifiers judge: sentences, and never longer than `longestWindow`. They end at places that the text alone decides, so that
 * no chunking can change a verdict. A window is judged alone, because other sentences would dilute it, and together with the one before it,
 * because an attack may need two sentences.
 */

import { FoldedText } from './text/folded-text.ts';

/** Folded characters. */
const longestWindow = 200;
const shortestSentence = 24;
const [newline, space] = [10, 32];
const sentenceEnds = new Set([...'.!?。！？؟।'].map((sign) => sign.codePointAt(0)));

/** Tells after which character a window ends. */
export class WindowCutter {
  #start = 0;
  #lastSpace = 0;
  #previous = space;

  /** Index where the window that is open began. */
  get start(): number {
    return this.#start;
  }

  /**
   * The code at `index` has arrived. Gives the index after a window's last character when one ends, else -1: after the white space behind a
   * sentence's end, at a line's end, at the last space of a sentence that is too long, or in the middle of a word that is.
   */
  advance(index: number, code: number): number {
    const length = index + 1 - this.#start;
    let end = -1;
    if (code === newline || (code === space && sentenceEnds.has(this.#previous))) {
      if (length >= shortestSentence) end = index + 1;
    } else if (length >= longestWindow) {
      end = this.#lastSpace > this.#start + longestWindow / 2 ? this.#lastSpace : index + 1;
    }
    if (code === space || code === newline) this.#lastSpace = index + 1;
    this.#previous = code;
    if (end > 0) this.#start = end;
    return end;
  }
}

export interface JudgedWindow {
  readonly text: string;
  readonly windowsBefore: number;
}

/** Every text that a classifier judges on a stream: each window folded, alone and with the one before it. */
export function readWindows(raw: string): JudgedWindow[] {
  const text = new FoldedText();
  for (let index = 0; index < raw.length; index += 1) text.push(raw.charCodeAt(index));
  text.end();
  const cutter = new WindowCutter();
  const windows: JudgedWindow[] = [];
  let windowsBefore = 0;
  let previous = 0;
  let current = 0;
  for (let index = 0; index < text.length; index += 1) {
    const end = index + 1 === text.length ? text.length : cutter.advance(index, text.at(index));
    if (end < 0) continue;
    windows.push({ text: text.slice(current, end), windowsBefore });
    if (previous < current) windows.push({ text: text.slice(previous, end), windowsBefore });
    windowsBefore += 1;
    previous = current;
    current = end;
  }
  return windows;
}
