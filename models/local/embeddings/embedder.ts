/** Sentence embeddings by a BERT-like encoder in ONNX: the mean of its last hidden states, at unit length (Reimers and Gurevych, 2019). */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Tokenizer } from '@huggingface/tokenizers';
import { InferenceSession, Tensor } from 'onnxruntime-node';
import { SentenceError } from '../sentence-error.ts';

export const EMBEDDING_FILES = { graph: 'model.onnx', tokenizer: 'tokenizer.json' } as const;

/** Longest text in tokens, the two that mark its ends among them: what all-MiniLM-L6-v2 was trained on. */
const MAX_TOKENS = 256;

export interface Embedding {
  /** Of unit length. */
  readonly vector: Float32Array;
  readonly tokens: number;
}

/** The text is longer than the model takes. */
export class TextTooLongError extends Error {
  override readonly name = 'TextTooLongError';
  constructor(tokens: number) {
    super(`This model's maximum context length is ${MAX_TOKENS} tokens. However, your input contains ${tokens}. Shorten the input.`);
  }
}

export class Embedder {
  readonly #session: InferenceSession;
  readonly #tokenizer: Tokenizer;

  private constructor(session: InferenceSession, tokenizer: Tokenizer) {
    this.#session = session;
    this.#tokenizer = tokenizer;
  }

  /** @param folder holds `model.onnx` and `tokenizer.json`. @throws {SentenceError} a file is missing. */
  static async load(folder: string, threads: number): Promise<Embedder> {
    const text = await readFile(join(folder, EMBEDDING_FILES.tokenizer), 'utf8').catch((error: unknown) => {
      throw new SentenceError(`${folder} holds no embedding model: ${EMBEDDING_FILES.tokenizer} is missing.`, { cause: error });
    });
    // The file cuts and pads to 128 tokens, which would lose text in silence.
    const tokenizer = new Tokenizer({ ...(JSON.parse(text) as object), truncation: null, padding: null }, {});
    const session = await InferenceSession.create(join(folder, EMBEDDING_FILES.graph), { intraOpNumThreads: threads, logSeverityLevel: 3 });
    return new Embedder(session, tokenizer);
  }

  /** One text at a time: activations are rounded over a whole batch, so that neighbours would change a vector. @throws {TextTooLongError} */
  async embed(input: string | readonly number[]): Promise<Embedding> {
    const ids = typeof input === 'string' ? this.#tokenizer.encode(input).ids : input;
    if (ids.length > MAX_TOKENS) throw new TextTooLongError(ids.length);
    const shape = [1, ids.length];
    const known: Record<string, Tensor> = {
      input_ids: new Tensor('int64', BigInt64Array.from(ids, BigInt), shape),
      attention_mask: new Tensor('int64', new BigInt64Array(ids.length).fill(1n), shape),
      token_type_ids: new Tensor('int64', new BigInt64Array(ids.length), shape),
    };
    const feeds = Object.fromEntries(Object.entries(known).filter(([name]) => this.#session.inputNames.includes(name)));
    const outputs = await this.#session.run(feeds);
    const hidden = outputs['last_hidden_state'] ?? outputs[this.#session.outputNames[0] ?? ''];
    if (!(hidden?.data instanceof Float32Array)) throw new Error('the embedding model gave no float32 output');
    return { vector: meanOfRows(hidden.data, ids.length), tokens: ids.length };
  }

  async dispose(): Promise<void> {
    await this.#session.release();
  }
}

function meanOfRows(values: Float32Array, rows: number): Float32Array {
  const size = values.length / rows;
  const sum = new Float64Array(size);
  for (const [i, value] of values.entries()) sum[i % size] = (sum[i % size] ?? 0) + value;
  return normalise(sum);
}

/** The direction of a vector, or of its first components. */
export function normalise(values: ArrayLike<number>, dimensions = values.length): Float32Array {
  let squares = 0;
  for (let i = 0; i < dimensions; i++) squares += (values[i] ?? 0) ** 2;
  const length = Math.sqrt(squares) || 1;
  return Float32Array.from({ length: dimensions }, (_, i) => (values[i] ?? 0) / length);
}
