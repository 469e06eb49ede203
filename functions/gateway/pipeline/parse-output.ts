import type { ChoiceEvent, TextEvent } from './generation-request.ts';
import { joinParts, type OutputParser } from './output-parsers/output-part.ts';

/**
 * Reads what the text means: an answer, thoughts, calls of tools. An answer that called and ended by itself ends with `tool-calls`; one that
 * was cut ends as it was cut, however far its call had come.
 */
export async function* parseOutput(events: AsyncIterable<TextEvent>, parser: OutputParser): AsyncGenerator<ChoiceEvent> {
  let called = false;
  for await (const event of events) {
    const isEnd = event.type === 'choice-end';
    const parts = joinParts(isEnd ? parser.flush() : parser.push(event.text));
    const tokens = isEnd ? [] : event.tokens;
    called ||= parts.some((part) => part.type === 'tool-call');
    if (parts.length > 0 || tokens.length > 0) yield { type: 'delta', parts, tokens, usage: event.usage };
    if (isEnd) yield { ...event, finishReason: called && event.finishReason === 'stop' ? 'tool-calls' : event.finishReason };
  }
}
