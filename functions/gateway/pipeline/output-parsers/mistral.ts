/** Calls after Mistral's control token: `[TOOL_CALLS][{"name": …, "arguments": …}, …]`, at the end of the answer, text before it or none. */
import { createCallArrayParser } from './call-array.ts';
import { heldLength, type OutputParser, type OutputPart } from './output-part.ts';

const MARKER = '[TOOL_CALLS]';

export function createMistralParser(isTool: (name: string) => boolean): OutputParser {
  let array: OutputParser | undefined;
  let held = '';

  const readText = (character: string): readonly OutputPart[] => {
    held += character;
    const released = held.slice(0, held.length - (held.endsWith(MARKER) ? MARKER.length : heldLength(held, MARKER)));
    held = held.slice(released.length);
    const parts: readonly OutputPart[] = released === '' ? [] : [{ type: 'content', text: released }];
    if (held !== MARKER) return parts;
    array = createCallArrayParser(isTool, MARKER);
    return parts;
  };

  return {
    push: (text) => [...text].flatMap((character) => array?.push(character) ?? readText(character)),
    flush: () => array?.flush() ?? (held === '' ? [] : [{ type: 'content', text: held }]),
  };
}
