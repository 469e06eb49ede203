/**
 * Calls after Mistral's control token: `[TOOL_CALLS][{"name": …, "arguments": …}, …]`, one array at the end of the answer, text before it
 * or none.
 */
import { CallReader } from './call-reader.ts';
import { heldLength, type OutputParser, type OutputPart } from './output-part.ts';

const MARKER = '[TOOL_CALLS]';

export function createMistralParser(isTool: (name: string) => boolean): OutputParser {
  const calls = new CallReader(isTool);
  let mode: 'text' | 'array' | 'call' | 'between' | 'after' = 'text';
  /** Marker and bracket, until the first call has begun. */
  let held = '';

  const giveBack = (text: string): readonly OutputPart[] => {
    mode = 'after';
    held = '';
    return [{ type: 'content', text }];
  };

  const startCall = (): readonly OutputPart[] => {
    mode = 'call';
    calls.next();
    return [];
  };

  const readText = (character: string): readonly OutputPart[] => {
    held += character;
    if (held === MARKER) {
      mode = 'array';
      return [];
    }
    const released = held.slice(0, held.length - (held.endsWith(MARKER) ? MARKER.length : heldLength(held, MARKER)));
    held = held.slice(released.length);
    return released === '' ? [] : [{ type: 'content', text: released }];
  };

  const readCall = (character: string): readonly OutputPart[] => {
    const { parts, outcome } = calls.read(character);
    if (outcome === 'no-call') return giveBack(held + calls.pending);
    if (calls.begun > 0) held = '';
    if (outcome === 'end') mode = 'between';
    return parts;
  };

  const readCharacter = (character: string): readonly OutputPart[] => {
    const isSpace = character.trim() === '';
    switch (mode) {
      case 'text':
        return readText(character);
      case 'array':
        held += character;
        if (isSpace) return [];
        return character === '[' ? startCall() : giveBack(held);
      case 'call':
        return readCall(character);
      case 'between':
        if (isSpace) return [];
        if (character === ',') return startCall();
        mode = 'after';
        return character === ']' ? [] : giveBack(character);
      case 'after':
        return calls.begun > 0 && isSpace ? [] : [{ type: 'content', text: character }];
    }
  };

  return {
    push: (text) => [...text].flatMap(readCharacter),
    flush: () => (held === '' && calls.pending === '' ? [] : giveBack(held + (mode === 'call' ? calls.pending : ''))),
  };
}
