/** LoRA adapters in PEFT's format: `adapter_config.json` and `adapter_model.safetensors`. */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Tensor } from 'onnxruntime-node';
import * as v from 'valibot';
import { ADAPTED_PARTS } from '../convert/build-decoder.ts';
import { expectedShape, MODULES } from '../convert/load-tensor.ts';
import { readSafetensors, type SafeTensor } from '../convert/read-safetensors.ts';
import { readFloats } from '../convert/weight-matrix.ts';
import type { ModelConfig } from '../gguf/model-config.ts';

/** The adapter cannot be used. The message says why. */
export class AdapterError extends Error {
  override readonly name = 'AdapterError';
}

const count = v.pipe(v.number(), v.integer(), v.minValue(1));
const configSchema = v.object({
  peft_type: v.literal('LORA'),
  r: count,
  lora_alpha: v.pipe(v.number(), v.gtValue(0)),
  use_rslora: v.nullish(v.boolean(), false),
  use_dora: v.nullish(v.literal(false)),
  fan_in_fan_out: v.nullish(v.literal(false)),
  bias: v.nullish(v.literal('none')),
  modules_to_save: v.nullish(v.pipe(v.array(v.string()), v.length(0))),
  rank_pattern: v.nullish(v.record(v.string(), v.never())),
  alpha_pattern: v.nullish(v.record(v.string(), v.never())),
});

/** One product of a block in the graph, and the weights that it stacks. */
const PRODUCTS = [
  { name: 'qkv_product', parts: ['attn_q', 'attn_k', 'attn_v'] },
  { name: 'attn_output', parts: ['attn_output'] },
  { name: 'gate_up', parts: ['ffn_gate', 'ffn_up'] },
  { name: 'ffn_down', parts: ['ffn_down'] },
] as const;

interface LowRankPair {
  /** `[rank, columns]` */
  readonly down: Float32Array;
  /** `[rows, rank]`, scaled by alpha. */
  readonly up: Float32Array;
}

export interface Adapter {
  readonly name: string;
  /** Counts up with each loading: the same name may stand for other weights later. */
  readonly loading: number;
  readonly rank: number;
  /** By the name of the product in the graph and the index of the weight in it. */
  readonly pairs: ReadonlyMap<string, LowRankPair>;
}

let loadings = 0;

/** @throws {AdapterError} */
export async function loadAdapter(name: string, folder: string, config: ModelConfig): Promise<Adapter> {
  const settings = v.safeParse(configSchema, await readJson(join(folder, 'adapter_config.json')));
  if (!settings.success) {
    throw new AdapterError(
      `its adapter_config.json is missing or asks for what is not supported, at ${v.getDotPath(settings.issues[0]) ?? 'its root'}`,
    );
  }
  const { r: rank, lora_alpha: alpha, use_rslora: stabilized } = settings.output;
  const scale = alpha / (stabilized ? Math.sqrt(rank) : rank);
  const tensors = await readSafetensors(join(folder, 'adapter_model.safetensors')).catch((error: unknown) => {
    throw new AdapterError(`its adapter_model.safetensors cannot be read: ${error instanceof Error ? error.message : error}`, {
      cause: error,
    });
  });
  const left = new Set(tensors.keys());
  const pairs = new Map<string, LowRankPair>();
  for (let block = 0; block < config.blocks; block++) {
    for (const product of PRODUCTS) {
      for (const [index, part] of product.parts.entries()) {
        const key = (factor: 'A' | 'B') => `base_model.model.model.layers.${block}.${MODULES[part]}.lora_${factor}.weight`;
        const [down, up] = [tensors.get(key('A')), tensors.get(key('B'))];
        if (down === undefined && up === undefined) continue;
        const [rows, columns] = expectedShape(config, part);
        pairs.set(`b${block}_${product.name}.${index}`, {
          down: readMatrix(key('A'), down, rank, columns),
          up: readMatrix(key('B'), up, rows, rank).map((value) => value * scale),
        });
        left.delete(key('A'));
        left.delete(key('B'));
      }
    }
  }
  if (pairs.size === 0) throw new AdapterError('it has no weights for this model');
  if (left.size > 0) throw new AdapterError(`it has ${left.size} weights that this engine cannot apply`);
  loadings++;
  return { name, loading: loadings, rank, pairs };
}

function readMatrix(name: string, tensor: SafeTensor | undefined, rows: number, columns: number): Float32Array {
  if (tensor === undefined || tensor.shape.length !== 2 || tensor.shape[0] !== rows || tensor.shape[1] !== columns) {
    throw new AdapterError(`${name} must have ${rows} rows of ${columns}`);
  }
  const values = readFloats(name, tensor.type, tensor.bytes);
  if (values.some((value) => !Number.isFinite(value))) throw new AdapterError(`${name} holds values that are no numbers`);
  return values;
}

async function readJson(path: string): Promise<unknown> {
  try {
    return JSON.parse(await readFile(path, 'utf8'));
  } catch {
    return undefined;
  }
}

/** The graph's inputs for a step with rows of several adapters; the weights are put together once for each set of adapters. */
export class AdapterInputs {
  readonly #config: ModelConfig;
  #key = '';
  #weights: Readonly<Record<string, Tensor>> = {};

  constructor(config: ModelConfig) {
    this.#config = config;
  }

  /** @param rows the adapter of each flat row, `undefined` for none. At least one row has one. */
  forRows(rows: readonly (Adapter | undefined)[]): Record<string, Tensor> {
    const adapters = [...new Set(rows)].filter((adapter) => adapter !== undefined).sort((a, b) => a.loading - b.loading);
    const key = adapters.map(({ loading }) => loading).join();
    if (key !== this.#key) {
      this.#weights = this.#stack(adapters);
      this.#key = key;
    }
    const masks = ADAPTED_PARTS.map((parts) => [`adapter_mask_${parts}`, maskFor(rows, adapters, parts)] as const);
    return { ...this.#weights, ...Object.fromEntries(masks) };
  }

  #stack(adapters: readonly Adapter[]): Record<string, Tensor> {
    const inputs: Record<string, Tensor> = {};
    for (let block = 0; block < this.#config.blocks; block++) {
      for (const { name, parts } of PRODUCTS) {
        const shapes = parts.map((part) => expectedShape(this.#config, part));
        const columns = shapes[0]?.[1] ?? 0;
        const allRows = shapes.reduce((sum, [rows]) => sum + rows, 0);
        const ranks = adapters.reduce((sum, { rank }) => sum + rank * parts.length, 0);
        const down = new Float32Array(columns * ranks);
        const up = new Float32Array(ranks * allRows);
        let rankStart = 0;
        for (const adapter of adapters) {
          let rowStart = 0;
          for (const [index, [rows]] of shapes.entries()) {
            const pair = adapter.pairs.get(`b${block}_${name}.${index}`);
            for (let k = 0; pair !== undefined && k < adapter.rank; k++) {
              for (let column = 0; column < columns; column++) down[column * ranks + rankStart + k] = pair.down[k * columns + column] ?? 0;
              for (let row = 0; row < rows; row++) up[(rankStart + k) * allRows + rowStart + row] = pair.up[row * adapter.rank + k] ?? 0;
            }
            rankStart += adapter.rank;
            rowStart += rows;
          }
        }
        inputs[`b${block}_${name}_a`] = new Tensor('float32', down, [columns, ranks]);
        inputs[`b${block}_${name}_b`] = new Tensor('float32', up, [ranks, allRows]);
      }
    }
    return inputs;
  }
}

function maskFor(rows: readonly (Adapter | undefined)[], adapters: readonly Adapter[], parts: number): Tensor {
  const ranks = adapters.reduce((sum, { rank }) => sum + rank * parts, 0);
  const mask = new Float32Array(rows.length * ranks);
  for (const [row, own] of rows.entries()) {
    let start = row * ranks;
    for (const adapter of adapters) {
      const end = start + adapter.rank * parts;
      if (adapter === own) mask.fill(1, start, end);
      start = end;
    }
  }
  return new Tensor('float32', mask, [rows.length, ranks]);
}
