import { join } from 'node:path';
import { InferenceSession, Tensor } from 'onnxruntime-node';
import { WINDOW_TOKENS } from '../convert/build-decoder.ts';
import { MODEL_FILES, type ModelFolder } from '../convert/model-folder.ts';
import { completeWindows, KvPool } from './kv-pool.ts';

/** New tokens of sequences in neighbouring slots, the same number for each; those of one sequence lie in one window. */
export interface DecoderInput {
  readonly pool: KvPool;
  readonly firstSlot: number;
  /** One entry a sequence: its new token ids, and how many positions its cache holds. */
  readonly sequences: readonly { readonly tokenIds: readonly number[]; readonly cached: number }[];
  /** Flat rows (sequence * new tokens + index) whose logits are wanted. */
  readonly rows: readonly number[];
}

export interface DecoderOutput {
  /** `[rows, vocabularySize]` */
  readonly logits: Float32Array;
  /** For `KvPool.write`. */
  readonly newRows: Float32Array;
}

export interface DecoderOptions {
  /** Threads for one step. */
  readonly threads: number;
  /** Writes onnxruntime's own trace to files with this prefix. */
  readonly profilePrefix?: string;
}

/** Added to scores of empty cache positions: far below any score, and finite, so that a fully masked row has no NaN. */
const HIDDEN = -1e30;

/** The graph of a model folder in onnxruntime. `run` blocks its thread: it belongs into a worker. */
export class Decoder {
  readonly vocabularySize: number;
  readonly #session: InferenceSession;
  readonly #group: number;
  readonly #cacheNames: readonly string[];

  private constructor(session: InferenceSession, { config }: ModelFolder) {
    this.#session = session;
    this.vocabularySize = config.vocabularySize;
    this.#group = config.heads / config.kvHeads;
    this.#cacheNames = Array.from({ length: config.blocks }, (_, i) => [`key_${i}`, `value_${i}`]).flat();
  }

  static async load(model: ModelFolder, { threads, profilePrefix }: DecoderOptions): Promise<Decoder> {
    const session = await InferenceSession.create(join(model.path, MODEL_FILES.graph), {
      executionProviders: ['cpu'],
      intraOpNumThreads: threads,
      interOpNumThreads: 1,
      executionMode: 'sequential',
      logSeverityLevel: 3,
      // Waiting threads spin only where another core shares the work; alone it would burn time for nothing.
      extra: { session: { intra_op: { allow_spinning: threads > 1 ? '1' : '0' } } },
      ...(profilePrefix === undefined ? {} : { enableProfiling: true, profileFilePrefix: profilePrefix }),
    });
    const decoder = new Decoder(session, model);
    await decoder.#warmUp(model);
    return decoder;
  }

  /** The first run of a session lays out its buffers and reads its weights: about 0.2 s that no caller should wait for. */
  async #warmUp({ config }: ModelFolder): Promise<void> {
    const pool = new KvPool(config, 1);
    await this.run({ pool, firstSlot: 0, sequences: [{ tokenIds: new Array<number>(16).fill(0), cached: 0 }], rows: [] });
    await this.run({ pool, firstSlot: 0, sequences: [{ tokenIds: [0], cached: 0 }], rows: [0] });
  }

  async run({ pool, firstSlot, sequences, rows }: DecoderInput): Promise<DecoderOutput> {
    const batch = sequences.length;
    const newTokens = sequences[0]?.tokenIds.length ?? 0;
    const rowsOfGroup = this.#group * newTokens;
    const ids = new BigInt64Array(batch * newTokens);
    const positions = new BigInt64Array(batch * newTokens);
    const pastMask = new Float32Array(batch * pool.capacity);
    const windowMask = new Float32Array(batch * rowsOfGroup * WINDOW_TOKENS);
    const place = new Float32Array(batch * WINDOW_TOKENS * newTokens);
    for (const [i, { tokenIds, cached }] of sequences.entries()) {
      const inWindow = cached % WINDOW_TOKENS;
      for (let j = 0; j < newTokens; j++) {
        ids[i * newTokens + j] = BigInt(tokenIds[j] ?? 0);
        positions[i * newTokens + j] = BigInt(cached + j);
        place[(i * WINDOW_TOKENS + inWindow + j) * newTokens + j] = 1;
      }
      pastMask.fill(HIDDEN, i * pool.capacity + completeWindows(cached), (i + 1) * pool.capacity);
      for (let row = 0; row < rowsOfGroup; row++) {
        const start = (i * rowsOfGroup + row) * WINDOW_TOKENS;
        windowMask.fill(HIDDEN, start + inWindow + (row % newTokens) + 1, start + WINDOW_TOKENS);
      }
    }
    const feeds: Record<string, Tensor> = {
      input_ids: new Tensor('int64', ids, [batch, newTokens]),
      positions: new Tensor('int64', positions, [batch, newTokens]),
      past_mask: new Tensor('float32', pastMask, [batch, 1, 1, pool.capacity]),
      window_mask: new Tensor('float32', windowMask, [batch, 1, rowsOfGroup, WINDOW_TOKENS]),
      place: new Tensor('float32', place, [batch, 1, WINDOW_TOKENS, newTokens]),
      rows: new Tensor('int64', BigInt64Array.from(rows, BigInt), [rows.length]),
    };
    const { past, window } = pool.tensors(firstSlot, batch);
    for (const [i, name] of this.#cacheNames.entries()) {
      feeds[`past_${name}`] = past[i] as Tensor; // one for each name
      feeds[`window_${name}`] = window[i] as Tensor;
    }
    const { logits, newkv } = await this.#session.run(feeds);
    return { logits: floats(logits), newRows: floats(newkv) };
  }

  async dispose(): Promise<void> {
    await this.#session.release();
  }
}

function floats(tensor: Tensor | undefined): Float32Array {
  if (!(tensor?.data instanceof Float32Array)) throw new Error('the graph gave no float32 output');
  return tensor.data;
}
