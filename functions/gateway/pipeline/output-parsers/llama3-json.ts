/**
 * Calls as bare JSON, as Llama 3.1 and later write them: the whole answer is `{"name": …, "parameters": …}`, several separated by `;`,
 * sometimes after the control token `<|python_tag|>`. An answer that begins with anything else is text to its end.
 */
import { CallReader } from './call-reader.ts';
import type { OutputParser, OutputPart } from './output-part.ts';

const PYTHON_TAG = '<|python_tag|>';

export function createLlama3JsonParser(isTool: (name: string) => boolean): OutputParser {
  const calls = new CallReader(isTool);
  let mode: 'start' | 'call' | 'between' | 'text' = 'start';
  /** What stands before a call: white space, the tag, a separator. */
  let held = '';

  const isBeforeCall = () => {
    const begun = held.trim();
    return begun === '' || (mode === 'start' ? PYTHON_TAG.startsWith(begun) : begun === ';');
  };

  const giveBack = (text: string): readonly OutputPart[] => {
    mode = 'text';
    held = '';
    return text === '' ? [] : [{ type: 'content', text }];
  };

  const readCall = (character: string): readonly OutputPart[] => {
    const { parts, outcome } = calls.read(character);
    if (outcome === 'no-call') return giveBack(held + calls.pending);
    if (outcome === 'end') {
      mode = 'between';
      held = '';
    }
    return parts;
  };

  const readCharacter = (character: string): readonly OutputPart[] => {
    switch (mode) {
      case 'text':
        return [{ type: 'content', text: character }];
      case 'call':
        return readCall(character);
      case 'start':
      case 'between':
        if (character === '{' && (held.trim() === '' || held.trim() === PYTHON_TAG || held.trim() === ';')) {
          mode = 'call';
          calls.next();
          return readCall(character);
        }
        held += character;
        return isBeforeCall() ? [] : giveBack(held);
    }
  };

  return {
    push: (text) => [...text].flatMap(readCharacter),
    flush() {
      if (mode === 'call') return calls.pending === '' ? [] : giveBack(held + calls.pending);
      return mode === 'start' ? giveBack(held) : []; // a separator behind the last call is markup
    },
  };
}
