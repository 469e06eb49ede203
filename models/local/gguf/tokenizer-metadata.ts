import type { GgufTokenizer } from '../../../layers/tokenizer/index.ts';
import { SentenceError } from '../sentence-error.ts';
import type { GgufFile } from './read-gguf.ts';

/** Used when a file brings no template of its own: contents in order, a line each. */
const PLAIN_TEMPLATE = "{% for message in messages %}{{ message['content'] }}\n{% endfor %}";

/** @throws {SentenceError} no byte-pair tokenizer in the file. */
export function readTokenizerMetadata(file: GgufFile): { readonly tokenizer: GgufTokenizer; readonly chatTemplate: string } {
  const kind = file.metadata.get('tokenizer.ggml.model');
  if (kind !== 'gpt2') {
    throw new SentenceError(`${file.path} has a tokenizer of the kind "${String(kind)}"; this build has byte-level BPE ("gpt2") only.`);
  }
  const tokens = strings(file, 'tokenizer.ggml.tokens');
  const bosTokenId = number(file, 'tokenizer.ggml.bos_token_id');
  const eosTokenId = number(file, 'tokenizer.ggml.eos_token_id');
  const pre = file.metadata.get('tokenizer.ggml.pre');
  const chatTemplate = file.metadata.get('tokenizer.chat_template');
  return {
    tokenizer: {
      tokens,
      merges: strings(file, 'tokenizer.ggml.merges'),
      tokenTypes: numbers(file, 'tokenizer.ggml.token_type', tokens.length),
      pre: typeof pre === 'string' ? pre : 'default',
      ...(bosTokenId === undefined ? {} : { bosTokenId }),
      ...(eosTokenId === undefined ? {} : { eosTokenId }),
      addBos: file.metadata.get('tokenizer.ggml.add_bos_token') === true,
    },
    chatTemplate: typeof chatTemplate === 'string' ? chatTemplate : PLAIN_TEMPLATE,
  };
}

function strings(file: GgufFile, key: string): string[] {
  const value = file.metadata.get(key);
  if (!Array.isArray(value)) throw new SentenceError(`${file.path} has no ${key}: its tokenizer is not in the file.`);
  return value.map(String);
}

function numbers(file: GgufFile, key: string, length: number): number[] {
  const value = file.metadata.get(key);
  return Array.isArray(value) ? value.map(Number) : new Array<number>(length).fill(1);
}

function number(file: GgufFile, key: string): number | undefined {
  const value = file.metadata.get(key);
  return typeof value === 'number' ? value : undefined;
}
