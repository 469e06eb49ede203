import type { OutputParser, OutputPart } from './output-part.ts';

/** The caller has named the tool, and the output is constrained to its parameters: all of the text is the arguments of one call. */
export function createNamedCallParser(name: string): OutputParser {
  let begun = false;
  const begin = (): readonly OutputPart[] => {
    if (begun) return [];
    begun = true;
    return [{ type: 'tool-call', call: 0, name }];
  };
  return {
    push: (text) => (text === '' ? [] : [...begin(), { type: 'tool-arguments', call: 0, text }]),
    flush: () => begin(),
  };
}
