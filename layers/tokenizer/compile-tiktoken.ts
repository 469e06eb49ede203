import { compileVocabulary } from './compile-vocabulary.ts';
import { VocabularyError } from './errors.ts';
import type { PreTokenizerName } from './vocabulary-file.ts';

/** What openai/tiktoken's `openai_public.py` says of an encoding beside its file of ranks. */
export interface TiktokenEncoding {
  readonly preTokenizer: PreTokenizerName;
  readonly specialTokens: Readonly<Record<string, number>>;
}

export const TIKTOKEN_ENCODINGS = {
  r50k_base: { preTokenizer: 'gpt2', specialTokens: { '<|endoftext|>': 50256 } },
  p50k_base: { preTokenizer: 'gpt2', specialTokens: { '<|endoftext|>': 50256 } },
  cl100k_base: {
    preTokenizer: 'cl100k',
    specialTokens: {
      '<|endoftext|>': 100257,
      '<|fim_prefix|>': 100258,
      '<|fim_middle|>': 100259,
      '<|fim_suffix|>': 100260,
      '<|endofprompt|>': 100276,
    },
  },
  o200k_base: { preTokenizer: 'o200k', specialTokens: { '<|endoftext|>': 199999, '<|endofprompt|>': 200018 } },
} as const satisfies Readonly<Record<string, TiktokenEncoding>>;

/**
 * @param ranks a `.tiktoken` file: a line a token, its bytes in base64 and its rank, which is its id.
 * @throws {VocabularyError} a line of another form, or a token twice.
 */
export function compileTiktoken(ranks: string, encoding: TiktokenEncoding): Uint8Array {
  const tokens: (Uint8Array | undefined)[] = [];
  const idOf = new Map<string, number>();
  const spell = (bytes: Uint8Array) => Buffer.from(bytes).toString('latin1');
  for (const [index, line] of ranks.split('\n').entries()) {
    if (line === '') continue;
    const [, base64, rank] = /^([A-Za-z0-9+/]+={0,2}) (\d{1,7})\r?$/.exec(line) ?? [];
    if (base64 === undefined || rank === undefined) throw new VocabularyError(`Line ${index + 1} of the ranks is not "base64 rank".`);
    const id = Number(rank);
    const bytes = new Uint8Array(Buffer.from(base64, 'base64'));
    const spelled = spell(bytes);
    if (tokens[id] !== undefined || idOf.has(spelled))
      throw new VocabularyError(`Line ${index + 1} of the ranks repeats a token or a rank.`);
    tokens[id] = bytes;
    idOf.set(spelled, id);
  }
  const controlTokens = Object.entries(encoding.specialTokens).map(([content, id]) => {
    if (tokens[id] !== undefined) throw new VocabularyError(`Id ${id} is both an ordinary token and ${content}.`);
    tokens[id] = new TextEncoder().encode(content);
    return { id, special: true };
  });
  const spelledTokens = Array.from(tokens, (bytes) => (bytes === undefined ? undefined : spell(bytes)));
  return compileVocabulary({
    settings: { preTokenizer: encoding.preTokenizer, normalization: 'none', addPrefixSpace: false, prefix: [], suffix: [] },
    tokens: Array.from(tokens),
    controlTokens,
    decodeOnly: new Set(),
    findMerge: (left, right) => {
      const id = idOf.get(`${spelledTokens[left]}${spelledTokens[right]}`);
      return id === undefined ? undefined : { id, rank: id };
    },
    wholePieces: true,
  });
}
