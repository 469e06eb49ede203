import type { ChoiceEvent, TextEvent } from './generation-request.ts';
import { joinParts, type OutputParser } from './output-parsers/output-part.ts';

/**
 * Reads what the text means: an answer, thoughts, calls of tools. An answer that called and ended by itself ends with `tool-calls`; one that
 * was cut ends as it was cut, however far its call had come.
 */
export async function* parseOutput(events: AsyncIterable<TextEvent>, parser: OutputParser): AsyncGenerator<ChoiceEvent> {
  let called = false;
  const thoughts = new ThoughtCount(parser);
  for await (const event of events) {
    const isEnd = event.type === 'choice-end';
    const parts = joinParts(isEnd ? parser.flush() : parser.push(event.text));
    const tokens = isEnd ? [] : event.tokens;
    const usage = { ...event.usage, reasoningTokens: thoughts.count(isEnd ? [] : event.tokenOffsets) };
    called ||= parts.some((part) => part.type === 'tool-call');
    if (parts.length > 0 || tokens.length > 0) yield { type: 'delta', parts, tokens, usage };
    if (isEnd) yield { ...event, usage, finishReason: called && event.finishReason === 'stop' ? 'tool-calls' : event.finishReason };
  }
}

/** Counts tokens that begin before the thoughts' end. Until that is known they all do. */
class ThoughtCount {
  readonly #parser: OutputParser;
  /** Of the tokens so far, as long as it takes to tell. */
  #offsets: number[] = [];
  #counted = 0;

  constructor(parser: OutputParser) {
    this.#parser = parser;
  }

  count(offsets: readonly number[]): number {
    if (this.#parser.thoughtsEnd === undefined) return 0;
    this.#offsets.push(...offsets);
    const end = this.#parser.thoughtsEnd();
    if (end === undefined) return this.#offsets.length;
    this.#counted += this.#offsets.filter((offset) => offset < end).length;
    this.#offsets = [];
    return this.#counted;
  }
}
