import { readSpelledToken } from './byte-level-alphabet.ts';
import { compileVocabulary } from './compile-vocabulary.ts';
import { VocabularyError } from './errors.ts';
import { createMergeList } from './merge-list.ts';
import type { VocabularySettings } from './vocabulary-file.ts';

/** The tokenizer's part of a GGUF file's metadata (`tokenizer.ggml.*`). */
export interface GgufTokenizer {
  readonly tokens: readonly string[];
  /** `"left right"`, best first. */
  readonly merges: readonly string[];
  /** 1 normal, 2 unknown, 3 control, 4 user defined, 5 unused, 6 byte. */
  readonly tokenTypes: ArrayLike<number>;
  readonly pre: string;
  readonly bosTokenId?: number;
  readonly eosTokenId?: number;
  readonly addBos?: boolean;
}

type PreTokenization = Pick<VocabularySettings, 'preTokenizer' | 'normalization'> & { readonly wholePieces: boolean };

/** llama.cpp's names (`llama-vocab.cpp`) for the pre-tokenizers that we have. */
const PRE_TOKENIZERS: Readonly<Record<string, PreTokenization>> = {
  'gpt-2': { preTokenizer: 'gpt2', normalization: 'none', wholePieces: false },
  'phi-2': { preTokenizer: 'gpt2', normalization: 'none', wholePieces: false },
  olmo: { preTokenizer: 'gpt2', normalization: 'none', wholePieces: false },
  smollm: { preTokenizer: 'gpt2-digits', normalization: 'none', wholePieces: false },
  starcoder: { preTokenizer: 'gpt2-digits', normalization: 'none', wholePieces: false },
  'llama-bpe': { preTokenizer: 'cl100k', normalization: 'none', wholePieces: true },
  llama3: { preTokenizer: 'cl100k', normalization: 'none', wholePieces: true },
  'llama-v3': { preTokenizer: 'cl100k', normalization: 'none', wholePieces: true },
  dbrx: { preTokenizer: 'cl100k', normalization: 'none', wholePieces: false },
  qwen2: { preTokenizer: 'qwen2', normalization: 'nfc', wholePieces: false },
  qwen35: { preTokenizer: 'qwen3.5', normalization: 'nfc', wholePieces: false },
  'gpt-4o': { preTokenizer: 'o200k', normalization: 'none', wholePieces: false },
  tekken: { preTokenizer: 'tekken', normalization: 'none', wholePieces: true },
};

const CONTROL = 3;
const USER_DEFINED = 4;

/** @throws {VocabularyError} an unknown pre-tokenizer, or merges that do not fit the tokens. */
export function compileGguf(metadata: GgufTokenizer): Uint8Array {
  const pre = Object.hasOwn(PRE_TOKENIZERS, metadata.pre) ? PRE_TOKENIZERS[metadata.pre] : undefined;
  if (pre === undefined) {
    throw new VocabularyError(
      `The GGUF file cuts text by the rules "${metadata.pre}", which this build cannot reproduce exactly. It knows ${Object.keys(PRE_TOKENIZERS).join(', ')}.`,
    );
  }
  const { tokens, tokenTypes, bosTokenId, eosTokenId } = metadata;
  if (tokenTypes.length !== tokens.length) {
    throw new VocabularyError(`The GGUF file has ${tokens.length} tokens but ${tokenTypes.length} token types.`);
  }
  const control = (id: number) => tokenTypes[id] === CONTROL || tokenTypes[id] === USER_DEFINED;
  const nameOf = (id: number | undefined) => (id === undefined ? undefined : tokens[id]);
  const bosToken = nameOf(bosTokenId);
  const eosToken = nameOf(eosTokenId);
  const spelled = tokens.map(readSpelledToken);
  const { preTokenizer, normalization, wholePieces } = pre;
  return compileVocabulary({
    settings: {
      preTokenizer,
      normalization,
      addPrefixSpace: false,
      ...(bosToken === undefined ? {} : { bosToken }),
      ...(eosToken === undefined ? {} : { eosToken }),
      prefix: metadata.addBos === true && bosTokenId !== undefined ? [bosTokenId] : [],
      suffix: [],
    },
    tokens: spelled.map(({ bytes }) => bytes),
    controlTokens: [...tokens.keys()].filter(control).map((id) => ({ id, special: tokenTypes[id] === CONTROL })),
    decodeOnly: new Set([...spelled.keys()].filter((id) => spelled[id]?.spelled === false)),
    findMerge: createMergeList(new Map(tokens.map((token, id) => [token, id])), metadata.merges),
    wholePieces,
  });
}
