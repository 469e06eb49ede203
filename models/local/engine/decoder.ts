import { join } from 'node:path';
import { InferenceSession, Tensor } from 'onnxruntime-node';
import { WINDOW_TOKENS } from '../convert/add-attention.ts';
import { MODEL_FILES, type ModelFolder } from '../convert/model-folder.ts';
import type { ModelConfig } from '../gguf/model-config.ts';
import { type Adapter, AdapterInputs } from './adapter.ts';
import { EmbeddingTable } from './embedding-table.ts';
import { completeWindows, KvPool } from './kv-pool.ts';

/** New tokens of sequences in neighbouring slots, the same number for each; those of one sequence lie in one window. */
export interface DecoderInput {
  readonly pool: KvPool;
  readonly firstSlot: number;
  /** One entry a sequence: its new token ids, and how many positions its cache holds. */
  readonly sequences: readonly { readonly tokenIds: readonly number[]; readonly cached: number }[];
  /** Flat rows (sequence * new tokens + index) whose logits are wanted. */
  readonly rows: readonly number[];
  /** The adapter of each sequence; left out when none has one. */
  readonly adapters?: readonly (Adapter | undefined)[];
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
}

interface LoadableModel extends Pick<ModelFolder, 'path' | 'precision' | 'embedding'> {
  readonly config: ModelConfig;
}

/** Added to scores of empty cache positions: far below any score, and finite, so that a fully masked row has no NaN. */
const HIDDEN = -1e30;

/** The graph of a model folder in onnxruntime. `run` blocks its thread: it belongs into a worker. */
export class Decoder {
  readonly vocabularySize: number;
  readonly #session: InferenceSession;
  /** The graph with inputs for adapters: loaded with the first of them, because it takes as much memory again. */
  #adapted: Promise<InferenceSession> | undefined;
  readonly #loadAdapted: () => Promise<InferenceSession>;
  readonly #adapterInputs: AdapterInputs;
  readonly #embedding: EmbeddingTable;
  readonly #group: number;
  readonly #cacheNames: readonly string[];
  readonly #model: LoadableModel;

  private constructor(session: InferenceSession, model: LoadableModel, loadAdapted: () => Promise<InferenceSession>) {
    const { config } = model;
    this.#model = model;
    this.#session = session;
    this.#loadAdapted = loadAdapted;
    this.#adapterInputs = new AdapterInputs(config);
    this.#embedding = new EmbeddingTable(join(model.path, MODEL_FILES.weights), model.embedding, config);
    this.vocabularySize = config.vocabularySize;
    this.#group = config.heads / config.kvHeads;
    this.#cacheNames = Array.from({ length: config.blocks }, (_, i) => [`key_${i}`, `value_${i}`]).flat();
  }

  static async load(model: LoadableModel, options: DecoderOptions): Promise<Decoder> {
    const session = await createSession(join(model.path, MODEL_FILES.graph), options);
    const decoder = new Decoder(session, model, () => createSession(join(model.path, MODEL_FILES.adaptedGraph), options));
    await decoder.#warmUp();
    return decoder;
  }

  /** Caches as this graph takes them. */
  createPool(slots: number): KvPool {
    return new KvPool(this.#model.config, slots, this.#model.precision === 'exact' ? 'float32' : 'float16');
  }

  /** Before the first step with an adapter. */
  async prepareAdapters(): Promise<void> {
    this.#adapted ??= this.#loadAdapted();
    await this.#adapted;
  }

  /** A graph that cannot run fails here instead of in a caller's answer. First runs cost no more than later ones, also of prompts. */
  async #warmUp(): Promise<void> {
    const pool = this.createPool(1);
    await this.run({ pool, firstSlot: 0, sequences: [{ tokenIds: [0], cached: 0 }], rows: [0] });
  }

  async run(input: DecoderInput): Promise<DecoderOutput> {
    const { logits, newkv } = await this.runGraph(input);
    return { logits: floats(logits), newRows: floats(newkv) };
  }

  /** All outputs of the graph by their names. */
  async runGraph({ pool, firstSlot, sequences, rows, adapters }: DecoderInput): Promise<InferenceSession.OnnxValueMapType> {
    const batch = sequences.length;
    const newTokens = sequences[0]?.tokenIds.length ?? 0;
    const rowsOfGroup = this.#group * newTokens;
    const positions = new BigInt64Array(batch * newTokens);
    const pastMask = new Float32Array(batch * pool.capacity);
    const windowMask = new Float32Array(batch * rowsOfGroup * WINDOW_TOKENS);
    const place = new BigInt64Array(batch);
    for (const [i, { cached }] of sequences.entries()) {
      const inWindow = cached % WINDOW_TOKENS;
      place[i] = BigInt(inWindow);
      for (let j = 0; j < newTokens; j++) positions[i * newTokens + j] = BigInt(cached + j);
      pastMask.fill(HIDDEN, i * pool.capacity + completeWindows(cached), (i + 1) * pool.capacity);
      for (let row = 0; row < rowsOfGroup; row++) {
        const start = (i * rowsOfGroup + row) * WINDOW_TOKENS;
        windowMask.fill(HIDDEN, start + inWindow + (row % newTokens) + 1, start + WINDOW_TOKENS);
      }
    }
    const embedded = this.#embedding.lookUp(sequences.flatMap(({ tokenIds }) => tokenIds));
    const feeds: Record<string, Tensor> = {
      embedded: new Tensor('float32', embedded, [batch * newTokens, this.#model.config.hiddenSize]),
      positions: new Tensor('int64', positions, [batch, newTokens]),
      past_mask: new Tensor('float32', pastMask, [batch, 1, 1, pool.capacity]),
      window_mask: new Tensor('float32', windowMask, [batch, 1, rowsOfGroup, WINDOW_TOKENS]),
      place: new Tensor('int64', place, [batch]),
      rows: new Tensor('int64', BigInt64Array.from(rows, BigInt), [rows.length]),
    };
    const { past, window } = pool.tensors(firstSlot, batch);
    for (const [i, name] of this.#cacheNames.entries()) {
      feeds[`past_${name}`] = past[i] as Tensor; // one for each name
      feeds[`window_${name}`] = window[i] as Tensor;
    }
    let session = this.#session;
    if (adapters?.some((adapter) => adapter !== undefined)) {
      session = await (this.#adapted ?? Promise.reject(new Error('no adapter was prepared')));
      const ofRows = adapters.flatMap((adapter) => new Array<Adapter | undefined>(newTokens).fill(adapter));
      Object.assign(feeds, this.#adapterInputs.forRows(ofRows));
    }
    return session.run(feeds);
  }

  async dispose(): Promise<void> {
    this.#embedding.close();
    await this.#session.release();
    await (await this.#adapted)?.release();
  }
}

function createSession(path: string, { threads }: DecoderOptions): Promise<InferenceSession> {
  return InferenceSession.create(path, {
    executionProviders: ['cpu'],
    intraOpNumThreads: threads,
    interOpNumThreads: 1,
    executionMode: 'sequential',
    logSeverityLevel: 3,
    extra: {
      session: {
        // Masked scores leave shares of 1e-45 behind, and processors take many times as long to compute with such numbers.
        set_denormal_as_zero: '1',
        // Waiting threads spin only where another core shares the work; alone it would burn time for nothing.
        intra_op: { allow_spinning: threads > 1 ? '1' : '0' },
      },
    },
  });
}

function floats(tensor: Tensor | undefined): Float32Array {
  if (!(tensor?.data instanceof Float32Array)) throw new Error('the graph gave no float32 output');
  return tensor.data;
}
