import { SentenceError } from '../sentence-error.ts';
import type { GgufFile, GgufValue } from './read-gguf.ts';

/** The shape of a decoder of the Llama family. */
export interface ModelConfig {
  readonly architecture: string;
  readonly name: string;
  /** Transformer blocks. */
  readonly blocks: number;
  readonly hiddenSize: number;
  readonly feedForwardSize: number;
  readonly heads: number;
  readonly kvHeads: number;
  readonly headSize: number;
  /** Prompt and answer together, in tokens. */
  readonly contextLength: number;
  readonly vocabularySize: number;
  readonly ropeBase: number;
  readonly normEpsilon: number;
  readonly bosTokenId?: number | undefined;
  /** Ids that end an answer: end of sequence and end of turn. */
  readonly stopTokenIds: readonly number[];
}

/** Mistral's files say llama. */
const ARCHITECTURES = ['llama', 'qwen2', 'qwen3'];

/** @throws {SentenceError} another architecture, or a value that is missing or cannot be served. */
export function readModelConfig(file: GgufFile): ModelConfig {
  const architecture = text(file, 'general.architecture');
  if (!ARCHITECTURES.includes(architecture)) {
    throw new SentenceError(`${file.path} holds a model of the family "${architecture}"; this engine runs ${ARCHITECTURES.join(', ')}.`);
  }
  const key = (name: string) => `${architecture}.${name}`;
  const hiddenSize = integer(file, key('embedding_length'));
  const heads = integer(file, key('attention.head_count'));
  const headSize = optionalInteger(file, key('attention.key_length')) ?? hiddenSize / heads;
  const kvHeads = optionalInteger(file, key('attention.head_count_kv')) ?? heads;
  refuseUnlike(file, key('rope.dimension_count'), headSize);
  refuseUnlike(file, key('attention.value_length'), headSize);
  refuseUnlike(file, key('expert_count'), 0);
  const scaling = file.metadata.get(key('rope.scaling.type'));
  if ((scaling !== undefined && scaling !== 'none') || file.tensors.has('rope_freqs.weight')) {
    throw new SentenceError(`${file.path} stretches its context by rope scaling, which this engine cannot do.`);
  }
  if (heads % kvHeads !== 0 || !Number.isInteger(headSize) || headSize % 2 !== 0) {
    throw new SentenceError(`${file.path} has ${heads} heads of size ${headSize} for ${kvHeads} key heads, which do not fit together.`);
  }
  const tokens = file.metadata.get('tokenizer.ggml.tokens');
  const vocabularySize = optionalInteger(file, key('vocab_size')) ?? (Array.isArray(tokens) ? tokens.length : 0);
  const eos = optionalInteger(file, 'tokenizer.ggml.eos_token_id');
  const eot = optionalInteger(file, 'tokenizer.ggml.eot_token_id');
  return {
    architecture,
    name: optionalText(file, 'general.name') ?? 'model',
    blocks: integer(file, key('block_count')),
    hiddenSize,
    feedForwardSize: integer(file, key('feed_forward_length')),
    heads,
    kvHeads,
    headSize,
    contextLength: integer(file, key('context_length')),
    vocabularySize,
    ropeBase: optionalNumber(file, key('rope.freq_base')) ?? 10_000,
    normEpsilon: optionalNumber(file, key('attention.layer_norm_rms_epsilon')) ?? 1e-5,
    bosTokenId: optionalInteger(file, 'tokenizer.ggml.bos_token_id'),
    stopTokenIds: [...new Set([eos, eot].filter((id) => id !== undefined))],
  };
}

function refuseUnlike(file: GgufFile, key: string, expected: number): void {
  const found = optionalInteger(file, key);
  if (found !== undefined && found !== expected) {
    throw new SentenceError(`${file.path} says ${key} = ${found}; this engine serves ${expected} only.`);
  }
}

function optionalNumber(file: GgufFile, key: string): number | undefined {
  const value = file.metadata.get(key);
  if (value === undefined) return undefined;
  if (typeof value !== 'number' && typeof value !== 'bigint') throw badValue(file, key, value);
  return Number(value);
}

function optionalInteger(file: GgufFile, key: string): number | undefined {
  const value = optionalNumber(file, key);
  if (value !== undefined && (!Number.isSafeInteger(value) || value < 0)) throw badValue(file, key, value);
  return value;
}

function integer(file: GgufFile, key: string): number {
  const value = optionalInteger(file, key);
  if (value === undefined || value === 0) throw new SentenceError(`${file.path} does not say ${key}.`);
  return value;
}

function optionalText(file: GgufFile, key: string): string | undefined {
  const value = file.metadata.get(key);
  return typeof value === 'string' ? value : undefined;
}

function text(file: GgufFile, key: string): string {
  const value = optionalText(file, key);
  if (value === undefined) throw new SentenceError(`${file.path} does not say ${key}.`);
  return value;
}

function badValue(file: GgufFile, key: string, value: GgufValue): SentenceError {
  return new SentenceError(`${file.path} says ${key} = ${String(value).slice(0, 40)}, which makes no sense.`);
}
