/**
 * Finds the channels that stay far above their neighbours, by running the model over a sample text: they are properties of the model and
 * hardly of the text (Dettmers et al., 2022, "LLM.int8()"). Only inputs that come from a normalization are looked at; the others
 * have outliers that change from token to token.
 */
import { mkdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { loadTokenizer } from '../../../layers/tokenizer/index.ts';
import { Decoder } from '../engine/decoder.ts';
import { WINDOW_TOKENS } from './add-attention.ts';
import { buildDecoder } from './build-decoder.ts';
import { storeEmbedding } from './embedding-weights.ts';
import { type EmbeddingLayout, MODEL_FILES } from './model-folder.ts';
import type { ModelSource } from './model-source.ts';
import { OnnxGraph } from './onnx-graph.ts';
import { WeightsFile } from './weights-file.ts';

/** Channels that share a rounding step in `MatMulNBits`, where weights come in blocks of 32. */
const BLOCK = 32;
/** One outlier for this many channels: what is computed beside the rounded product stays at a hundredth of it. */
const CHANNELS_PER_OUTLIER = 96;

/** Prose, dialogue, numbers and code, written for this purpose; models differ little in where their outliers are on another text. */
const SAMPLE_TEXT = `The ferry left at twenty past six, later than the timetable promised, and nobody on the upper deck seemed to mind.
"Is the bridge open again?" asked the woman with the bicycle. "Since Monday," he said, "but only for buses." In 2019 the town counted
14,350 people and 3 bakeries; today there are 16,902 and one. To boil an egg, bring water to a simmer, lower the egg in with a spoon,
and wait six minutes. def area(width, height): return width * height  # square metres
for item in range(10): print(item, area(item, 2.5))
Rivers carry sand to the sea, and the sea gives it back as beaches. Which countries border Switzerland? France, Italy, Austria, Germany and
Liechtenstein. Dear Ms. Okafor, thank you for your letter of the 4th of March. We have looked into the matter and will refund the fee.`;

/**
 * Builds the graph in `folder`, runs it and removes it again.
 * @returns channels in rising order, by the name that the graph gives the input.
 */
export async function findOutliers(source: ModelSource, folder: string, signal: AbortSignal | undefined): Promise<Map<string, number[]>> {
  await mkdir(folder);
  try {
    const embedding = await writeProbe(source, folder, signal);
    const decoder = await Decoder.load({ path: folder, config: source.config, precision: 'fast', embedding }, { threads: 1 });
    try {
      return await observe(decoder, source);
    } finally {
      await decoder.dispose();
    }
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

async function writeProbe(source: ModelSource, folder: string, signal: AbortSignal | undefined): Promise<EmbeddingLayout> {
  const weights = new WeightsFile(folder, MODEL_FILES.weights);
  const graph = new OnnxGraph(weights);
  try {
    const embedding = storeEmbedding(graph, source.config, source.tensors);
    for (const _ of buildDecoder(graph, source.config, source.tensors, embedding, { precision: 'fast', outliers: new Map() })) {
      await nextTurn(undefined, signal === undefined ? {} : { signal });
    }
    await writeFile(join(folder, MODEL_FILES.graph), graph.finish('probe'));
    return embedding.layout;
  } finally {
    weights.abandon();
  }
}

async function observe(decoder: Decoder, { config, vocabulary }: ModelSource): Promise<Map<string, number[]>> {
  const tokenIds = [...loadTokenizer(vocabulary).encode(SAMPLE_TEXT)].slice(0, Math.min(4 * WINDOW_TOKENS, config.contextLength - 1));
  const pool = decoder.createPool(1);
  pool.resize(4 * WINDOW_TOKENS, []);
  const gains = new Map<string, Float64Array>();
  for (let cached = 0; cached < tokenIds.length; cached += WINDOW_TOKENS) {
    const part = tokenIds.slice(cached, cached + WINDOW_TOKENS);
    const sequences = [{ tokenIds: part, cached }];
    const { logits: _, newkv, ...inputs } = await decoder.runGraph({ pool, firstSlot: 0, sequences, rows: [...part.keys()] });
    if (newkv?.data instanceof Float32Array) pool.write(0, cached, newkv.data, 0, part.length);
    for (const [name, { data }] of Object.entries(inputs)) {
      const known = gains.get(name) ?? new Float64Array(config.hiddenSize);
      gains.set(name, known);
      if (data instanceof Float32Array) addGains(known, data);
    }
  }
  const count = Math.floor(config.hiddenSize / CHANNELS_PER_OUTLIER);
  return new Map([...gains].map(([name, gain]) => [name, greatest(gain, count)]));
}

/** For the greatest channel of each block: how much smaller the squared rounding step would be without it. */
function addGains(gains: Float64Array, rows: Float32Array): void {
  for (let start = 0; start < rows.length; start += BLOCK) {
    let [first, second, channel] = [0, 0, 0];
    for (let i = start; i < Math.min(start + BLOCK, rows.length); i++) {
      const size = Math.abs(rows[i] ?? 0);
      if (size > first) [first, second, channel] = [size, first, i % gains.length];
      else if (size > second) second = size;
    }
    gains[channel] = (gains[channel] ?? 0) + first ** 2 - second ** 2;
  }
}

function greatest(values: Float64Array, count: number): number[] {
  const channels = [...values.keys()].sort((a, b) => (values[b] ?? 0) - (values[a] ?? 0) || a - b);
  return channels.slice(0, count).sort((a, b) => a - b);
}
