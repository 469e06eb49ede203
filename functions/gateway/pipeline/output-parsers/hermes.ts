/**
 * Calls in tags, as Hermes and Qwen write them: `<tool_call>\n{"name": …, "arguments": …}\n</tool_call>`, one or more, after text or none.
 * White space around a call is markup.
 */
import { CallReader } from './call-reader.ts';
import { heldLength, type OutputParser, type OutputPart } from './output-part.ts';

const OPEN = '<tool_call>';
const CLOSE = '</tool_call>';

export function createHermesParser(isTool: (name: string) => boolean): OutputParser {
  const calls = new CallReader(isTool);
  let mode: 'text' | 'call' | 'after-call' = 'text';
  let held = '';

  const readText = (character: string): readonly OutputPart[] => {
    held += character;
    if (held.trimStart() === OPEN) {
      mode = 'call';
      calls.next();
      return [];
    }
    // White space may stand before a tag, so it is held with the tag's beginning.
    const released = held.slice(0, held.length - heldLength(held, OPEN)).trimEnd();
    held = held.slice(released.length);
    return released === '' ? [] : [{ type: 'content', text: released }];
  };

  const readCall = (character: string): readonly OutputPart[] => {
    const { parts, outcome } = calls.read(character);
    if (outcome === 'more') return parts;
    const text = held + calls.pending;
    held = '';
    mode = outcome === 'end' ? 'after-call' : 'text';
    return outcome === 'end' ? parts : [{ type: 'content', text }];
  };

  const readCharacter = (character: string): readonly OutputPart[] => {
    switch (mode) {
      case 'text':
        return readText(character);
      case 'call':
        return readCall(character);
      case 'after-call':
        held += character;
        if (held.endsWith(CLOSE)) {
          mode = 'text';
          held = '';
        }
        return [];
    }
  };

  return {
    push: (text) => [...text].flatMap(readCharacter),
    flush() {
      const isMarkup = mode === 'after-call' || (calls.begun > 0 && held.trim() === ''); // line breaks behind the last call
      const text = mode === 'call' ? (calls.pending === '' ? '' : held + calls.pending) : isMarkup ? '' : held;
      return text === '' ? [] : [{ type: 'content', text }];
    },
  };
}
