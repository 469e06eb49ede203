/**
 * Turns ids into text as they come. What is released, put together, is always a prefix of the text of all ids: bytes that do not make a
 * character yet wait for the rest, and text that may begin a stop string waits until it is decided.
 */
import { StopAutomaton } from './stop-automaton.ts';
import type { Tokenizer } from './tokenizer.ts';

export interface DetokenizerOptions {
  /** The text ends before the first of them to be complete; at equal ends the longer one counts. */
  readonly stop?: readonly string[];
  /** Special tokens add no text. */
  readonly skipSpecialTokens?: boolean;
  /** The stop string that ended the text is part of it. */
  readonly includeStop?: boolean;
}

export interface DetokenizedToken {
  /** Text that this token released, often empty. */
  readonly text: string;
  /** The stop string that ended the text. Later tokens release nothing. */
  readonly stop?: string;
  /** The token's own bytes, as OpenAI's `logprobs.content[].bytes`: they need not be whole UTF-8. */
  readonly bytes: Uint8Array;
  /** Characters (code points) of text before the token, as OpenAI's `text_offset`; a token inside a character has that character's. */
  readonly textOffset: number;
}

export interface Detokenizer {
  /** @throws {UnknownTokenError} */
  push(id: number): DetokenizedToken;
  /** The end: what was held back. Bytes that never became a character are U+FFFD. */
  flush(): string;
}

export function createDetokenizer(tokenizer: Tokenizer, options: DetokenizerOptions = {}): Detokenizer {
  return new StreamingDetokenizer(tokenizer, options);
}

class StreamingDetokenizer implements Detokenizer {
  readonly #tokenizer: Tokenizer;
  readonly #skipSpecialTokens: boolean;
  readonly #includeStop: boolean;
  readonly #stops: StopAutomaton | undefined;
  readonly #utf8 = new TextDecoder('utf-8', { ignoreBOM: true });
  /** Decoded and not released: the automaton's longest open match. */
  #held = '';
  #characters = 0;
  #ended = false;

  constructor(tokenizer: Tokenizer, options: DetokenizerOptions) {
    this.#tokenizer = tokenizer;
    this.#skipSpecialTokens = options.skipSpecialTokens === true;
    this.#includeStop = options.includeStop === true;
    const stops = options.stop ?? [];
    this.#stops = stops.length > 0 ? new StopAutomaton(stops) : undefined;
  }

  push(id: number): DetokenizedToken {
    const bytes = this.#tokenizer.tokenBytes(id);
    const textOffset = this.#characters;
    if (this.#ended || (this.#skipSpecialTokens && this.#tokenizer.isSpecial(id))) return { text: '', bytes, textOffset };
    const decoded = this.#utf8.decode(bytes, { stream: true });
    this.#characters += countCharacters(decoded);
    return { ...this.#release(decoded), bytes, textOffset };
  }

  flush(): string {
    if (this.#ended) return '';
    this.#ended = true;
    const { text, stop } = this.#release(this.#utf8.decode());
    return stop === undefined ? text + this.#held : text;
  }

  #release(decoded: string): { readonly text: string; readonly stop?: string } {
    if (this.#stops === undefined) return { text: decoded };
    const pending = this.#held + decoded;
    for (let at = this.#held.length; at < pending.length; at++) {
      const length = this.#stops.read(pending.charCodeAt(at));
      if (length === 0) continue;
      this.#ended = true;
      this.#held = '';
      const stopStart = at + 1 - length;
      return { text: pending.slice(0, this.#includeStop ? at + 1 : stopStart), stop: pending.slice(stopStart, at + 1) };
    }
    const free = pending.length - this.#stops.held;
    this.#held = pending.slice(free);
    return { text: pending.slice(0, free) };
  }
}

function countCharacters(text: string): number {
  let low = 0;
  for (let at = 0; at < text.length; at++) if ((text.charCodeAt(at) & 0xfc00) === 0xdc00) low += 1;
  return text.length - low;
}
