import type { OutputParser } from './output-part.ts';

/** All of it is the answer. */
export function createPlainTextParser(): OutputParser {
  return { push: (text) => (text === '' ? [] : [{ type: 'content', text }]), flush: () => [] };
}
