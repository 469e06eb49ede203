/**
 * An array of calls, `[{"name": …, "arguments": …}, …]`: what Mistral writes after its control token, and what a model writes when its
 * output is constrained to calls.
 */
import { CallReader } from './call-reader.ts';
import type { OutputParser, OutputPart } from './output-part.ts';

/** @param marker what stood before the array, given back with it when there is no array. */
export function createCallArrayParser(isTool: (name: string) => boolean, marker = ''): OutputParser {
  const calls = new CallReader(isTool);
  let mode: 'start' | 'call' | 'between' | 'after' = 'start';
  /** Marker and bracket, until the first call has begun. */
  let held = marker;

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
      case 'start':
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
