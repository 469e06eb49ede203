/**
 * Thoughts in `<think>` … `</think>` at the start of an answer, as DeepSeek R1 and Qwen 3 write them. White space around the tags is
 * markup. Some templates write the opening tag into the prompt: then the answer starts inside (`startsInside`). What follows the thoughts
 * is handed to the next parser.
 */
import { heldLength, type OutputParser, type OutputPart } from './output-part.ts';

const OPEN = '<think>';
const CLOSE = '</think>';

export function createReasoningParser(next: OutputParser, options: { readonly startsInside: boolean }): OutputParser {
  let mode: 'start' | 'thinking' | 'closing' | 'answer' = options.startsInside ? 'thinking' : 'start';
  let begun = false;
  let held = '';
  let read = 0;
  let thoughtsEnd: number | undefined;

  const answer = (text: string): readonly OutputPart[] => {
    mode = 'answer';
    thoughtsEnd ??= 0;
    held = '';
    return next.push(text);
  };

  const think = (text: string): OutputPart[] => {
    const shown = begun ? text : text.trimStart();
    begun ||= shown !== '';
    return shown === '' ? [] : [{ type: 'reasoning', text: shown }];
  };

  const readCharacter = (character: string): readonly OutputPart[] => {
    read += 1;
    switch (mode) {
      case 'start':
        held += character;
        if (OPEN.startsWith(held.trimStart())) {
          if (held.trimStart() === OPEN) {
            mode = 'thinking';
            held = '';
          }
          return [];
        }
        return answer(held);
      case 'thinking': {
        held += character;
        if (held.endsWith(CLOSE)) {
          mode = 'closing';
          thoughtsEnd = read;
          const last = held.slice(0, -CLOSE.length).trimEnd();
          held = '';
          return think(last);
        }
        const body = held.slice(0, held.length - heldLength(held, CLOSE));
        const released = body.trimEnd(); // white space before the closing tag is markup
        held = held.slice(released.length);
        return think(released);
      }
      case 'closing':
        if (character.trim() === '') return [];
        return answer(character);
      case 'answer':
        return next.push(character);
    }
  };

  return {
    push: (text) => [...text].flatMap(readCharacter),
    flush() {
      const rest = mode === 'start' ? answer(held) : mode === 'thinking' ? think(held.trimEnd()) : [];
      held = '';
      return [...rest, ...next.flush()];
    },
    thoughtsEnd: () => thoughtsEnd,
  };
}
