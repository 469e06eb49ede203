/** Tensors by their names in GGUF, with the shape that the decoder expects. */
import type { ModelConfig } from '../gguf/model-config.ts';
import { SentenceError } from '../sentence-error.ts';
import { readFloats, readWeightMatrix, separateHalves, takeRows, type WeightMatrix } from './weight-matrix.ts';

/** Where weights come from: a GGUF file, or another format that answers in its terms. */
export interface TensorSource {
  /** A vector has one row. `undefined` when there is no tensor of this name. */
  find(name: string): { readonly type: string; readonly rows: number; readonly columns: number; read(): Uint8Array } | undefined;
  /** Names the source in errors about its shape. */
  readonly label: string;
  /** Rows of query and key weights come with the two halves of each head interleaved, as GGUF stores them for Llama. */
  readonly interleavesHalves: boolean;
}

/** Hugging Face's names of a block's parts, by GGUF's. */
export const MODULES = {
  attn_q: 'self_attn.q_proj',
  attn_k: 'self_attn.k_proj',
  attn_v: 'self_attn.v_proj',
  attn_output: 'self_attn.o_proj',
  attn_q_norm: 'self_attn.q_norm',
  attn_k_norm: 'self_attn.k_norm',
  attn_norm: 'input_layernorm',
  ffn_norm: 'post_attention_layernorm',
  ffn_gate: 'mlp.gate_proj',
  ffn_up: 'mlp.up_proj',
  ffn_down: 'mlp.down_proj',
} as const;

/** Rows and columns that a weight must have. @param part of a block, or what lies outside of blocks: an embedding or a head. */
export function expectedShape(config: ModelConfig, part: string): readonly [rows: number, columns: number] {
  const { hiddenSize, feedForwardSize, heads, kvHeads, headSize, vocabularySize } = config;
  switch (part) {
    case 'attn_q':
      return [heads * headSize, hiddenSize];
    case 'attn_k':
    case 'attn_v':
      return [kvHeads * headSize, hiddenSize];
    case 'attn_output':
      return [hiddenSize, heads * headSize];
    case 'ffn_gate':
    case 'ffn_up':
      return [feedForwardSize, hiddenSize];
    case 'ffn_down':
      return [hiddenSize, feedForwardSize];
    default:
      return [vocabularySize, hiddenSize];
  }
}

/** @throws {SentenceError} there is no such tensor, or it has another shape. */
export function loadMatrix(source: TensorSource, config: ModelConfig, name: string): WeightMatrix {
  const tensor = source.find(name);
  if (tensor === undefined) throw new SentenceError(`${source.label} has no tensor ${name}.`);
  const [rows, columns] = expectedShape(config, name.replace(/^blk\.\d+\./, '').replace(/\.weight$/, ''));
  if (tensor.rows !== rows || tensor.columns !== columns) {
    throw new SentenceError(`${source.label}: ${name} has ${tensor.rows} rows of ${tensor.columns}, expected ${rows} of ${columns}.`);
  }
  const matrix = readWeightMatrix(name, tensor.type, tensor.read(), rows, columns);
  if (source.interleavesHalves && name.endsWith('attn_q.weight')) return takeRows(matrix, separateHalves(config.heads, config.headSize));
  if (source.interleavesHalves && name.endsWith('attn_k.weight')) return takeRows(matrix, separateHalves(config.kvHeads, config.headSize));
  return matrix;
}

/** @throws {SentenceError} there is no such tensor, or it has another length. */
export function loadVector(source: TensorSource, name: string, length: number): Float32Array {
  const tensor = source.find(name);
  if (tensor === undefined) throw new SentenceError(`${source.label} has no tensor ${name}.`);
  if (tensor.rows * tensor.columns !== length) throw new SentenceError(`${source.label}: ${name} must hold ${length} values.`);
  return readFloats(name, tensor.type, tensor.read());
}
