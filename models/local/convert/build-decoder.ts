/**
 * The decoder of the Llama family as one ONNX graph that serves prefill chunks and decode steps of a batch alike.
 *
 * b sequences of s new tokens each attend to C cached positions and to the window of 64 positions in which the new ones lie. The caches
 * are inputs only: onnxruntime-node copies every output that it fetches, so the new keys and values leave in one small output, `newkv`,
 * and the engine writes them into its pool. Everything between attention parts runs on b*s flat rows.
 *
 * Windows begin at multiples of 64, so that a position's sums are made of the same parts in the same order whether its token comes in a
 * prefill chunk or alone: results are equal to the bit however a sequence is cut into steps, which makes continuing an answer from its
 * emitted ids exact.
 *
 *   input_ids, positions   int64 [b, s]
 *   past_key_i, past_value_i   float16 (float32 in the exact graph) [b, kvHeads, C, headSize], positions before the window
 *   window_key_i, window_value_i   float32 [b, kvHeads, 64, headSize], zero where nothing is cached yet
 *   past_mask   float32 [b, 1, 1, C], added to the scores: 0 or a large negative number
 *   window_mask   float32 [b, 1, groupSize * s, 64]; rows run over (query head within its group, new token)
 *   place   float32 [b, 1, 64, s], 1 where a new token's row of the window is
 *   rows   int64 [m], the flat rows whose logits are wanted
 *   -> logits   float32 [m, vocabulary]
 *   -> newkv   float32 [b, 2 * blocks * kvHeads, s, headSize], key then value of each block
 *   The probe graph has one more output for each product with a normalized input: that input, named as in `ProductOptions.outliers`.
 */
import type { ModelConfig } from '../gguf/model-config.ts';
import { SentenceError } from '../sentence-error.ts';
import { addBlockProduct, addLinear, addProduct, codesShape, type ProductOptions } from './add-product.ts';
import { CONTRIB, ELEMENT_TYPES, type OnnxGraph } from './onnx-graph.ts';
import { type BlockMatrix, packCodes, readFloats, readWeightMatrix, separateHalves, takeRows, type WeightMatrix } from './weight-matrix.ts';

/** Positions whose keys are summed apart from the ones before; a step's new tokens lie in one window. */
export const WINDOW_TOKENS = 64;

/** Where weights come from: a GGUF file, or another format that answers in its terms. */
export interface TensorSource {
  /** A vector has one row. `undefined` when there is no tensor of this name. */
  find(name: string): { readonly type: string; readonly rows: number; readonly columns: number; read(): Uint8Array } | undefined;
  /** Names the source in errors about its shape. */
  readonly label: string;
  /** Rows of query and key weights come with the two halves of each head interleaved, as GGUF stores them for Llama. */
  readonly interleavesHalves: boolean;
}

/** Adds the whole decoder, pausing after each block so that the caller can report progress or stop. */
export function* buildDecoder(graph: OnnxGraph, config: ModelConfig, source: TensorSource, options: ProductOptions): Generator<number> {
  const { blocks, hiddenSize, heads, kvHeads, headSize } = config;
  const group = heads / kvHeads;
  const linear = (x: string, names: readonly string[], output: string) => {
    const matrices = names.map((name) => loadMatrix(source, config, name));
    return addAdapters(graph, x, addLinear(graph, x, matrices, `${output}_plain`, options), matrices, output);
  };
  graph.inVariant('adapted', () => {
    for (const parts of ADAPTED_PARTS) graph.input(`adapter_mask_${parts}`, 'float32', ['T', `R${parts}`]);
  });

  graph.input('input_ids', 'int64', ['b', 's']);
  graph.input('positions', 'int64', ['b', 's']);
  graph.input('past_mask', 'float32', ['b', 1, 1, 'C']);
  graph.input('window_mask', 'float32', ['b', 1, 'gs', WINDOW_TOKENS]);
  graph.input('place', 'float32', ['b', 1, WINDOW_TOKENS, 's']);
  graph.input('rows', 'int64', ['m']);
  const { cos, sin } = addRotaryTables(graph, config);
  const pastLength = graph.node('Shape', ['past_mask'], 'past_length', { start: 3 });
  const split = graph.node('Concat', [pastLength, graph.integers(WINDOW_TOKENS)], 'attention_split', { axis: 0 });
  const batchShape = graph.node('Shape', ['input_ids'], 'batch_shape');
  const wideShape = graph.node('Concat', [batchShape, graph.integers(-1)], 'wide_shape', { axis: 0 });
  const queryShape = graph.node('Concat', [batchShape, graph.integers(kvHeads, group, headSize)], 'query_shape', { axis: 0 });
  const keyShape = graph.node('Concat', [batchShape, graph.integers(kvHeads, headSize)], 'key_shape', { axis: 0 });

  const embedding = loadMatrix(source, config, 'token_embd.weight');
  const head = addEmbedding(graph, embedding, hiddenSize);
  let residual = 'embedded';
  let delta: string | undefined;
  const normalize = (weight: string, name: string): string => {
    const gamma = graph.constant(`${name}_gamma`, loadVector(source, weight, hiddenSize), [hiddenSize]);
    const epsilon = { float: config.normEpsilon };
    if (delta === undefined)
      return graph.node('SimplifiedLayerNormalization', [residual, gamma], name, { axis: -1, epsilon, stash_type: 1 });
    const sum = `${name}_residual`;
    graph.node('SkipSimplifiedLayerNormalization', [residual, delta, gamma], [name, '', '', sum], { epsilon }, CONTRIB);
    residual = sum;
    return name;
  };
  yield 0;

  const newRows: string[] = [];
  for (let block = 0; block < blocks; block++) {
    const at = (name: string) => `b${block}_${name}`;
    const weight = (name: string) => `blk.${block}.${name}.weight`;
    const [pastKey, pastValue] = addPast(graph, config, block, options);
    const windowKey = graph.input(`window_key_${block}`, 'float32', ['b', kvHeads, WINDOW_TOKENS, headSize]);
    const windowValue = graph.input(`window_value_${block}`, 'float32', ['b', kvHeads, WINDOW_TOKENS, headSize]);

    const x = normalize(weight('attn_norm'), at('attn_norm'));
    const product = linear(x, [weight('attn_q'), weight('attn_k'), weight('attn_v')], at('qkv_product'));
    const qkv = addBias(graph, source, config, block, product, at('qkv'));
    const wide = graph.node('Reshape', [qkv, wideShape], at('qkv_wide'));
    graph.node('Split', [wide, graph.integers((heads + kvHeads) * headSize, kvHeads * headSize)], [at('qk'), at('v')], { axis: -1 });
    const normalized = addHeadNorm(graph, source, config, block, at('qk'));
    const rotated = graph.node('RotaryEmbedding', [normalized, 'positions', cos, sin], at('qk_rotated'), { interleaved: 0 }, CONTRIB);
    graph.node('Split', [rotated, graph.integers(heads * headSize, kvHeads * headSize)], [at('q'), at('k')], { axis: -1 });
    // Queries of one group share their keys: they are rows of one matrix, (head in group, position).
    const q5 = graph.node('Reshape', [at('q'), queryShape], at('q5'));
    const qt = graph.node('Transpose', [q5], at('qt'), { perm: [0, 2, 3, 1, 4] });
    const q = graph.node('Reshape', [qt, graph.integers(0, 0, -1, headSize)], at('q_rows'));
    const keys = graph.node('Transpose', [graph.node('Reshape', [at('k'), keyShape], at('k4'))], at('new_key'), { perm: [0, 2, 1, 3] });
    const values = graph.node('Transpose', [graph.node('Reshape', [at('v'), keyShape], at('v4'))], at('new_value'), { perm: [0, 2, 1, 3] });
    newRows.push(keys, values);
    const nearKeys = graph.node('Add', [graph.node('MatMul', ['place', keys], at('placed_key')), windowKey], at('near_key'));
    const nearValues = graph.node('Add', [graph.node('MatMul', ['place', values], at('placed_value')), windowValue], at('near_value'));

    const scaled = { transB: 1, alpha: { float: headSize ** -0.5 } };
    const pastScores = graph.node(
      'Add',
      [graph.node('FusedMatMul', [q, pastKey], at('past_dot'), scaled, CONTRIB), 'past_mask'],
      at('past_scores'),
    );
    const nearScores = graph.node(
      'Add',
      [graph.node('FusedMatMul', [q, nearKeys], at('near_dot'), scaled, CONTRIB), 'window_mask'],
      at('near_scores'),
    );
    const scores = graph.node('Concat', [pastScores, nearScores], at('scores'), { axis: -1 });
    const shares = graph.node('Softmax', [scores], at('shares'), { axis: -1 });
    graph.node('Split', [shares, split], [at('past_share'), at('near_share')], { axis: -1 });
    const fromPast = graph.node('MatMul', [at('past_share'), pastValue], at('from_past'));
    const fromNear = graph.node('MatMul', [at('near_share'), nearValues], at('from_near'));
    const attended = graph.node('Add', [fromPast, fromNear], at('attended'));
    const a5 = graph.node('Reshape', [attended, graph.integers(0, 0, group, -1, headSize)], at('attended5'));
    const at5 = graph.node('Transpose', [a5], at('attended5t'), { perm: [0, 3, 1, 2, 4] });
    const flat = graph.node('Reshape', [at5, graph.integers(-1, heads * headSize)], at('attended_flat'));
    delta = linear(flat, [weight('attn_output')], at('attn_output'));

    const y = normalize(weight('ffn_norm'), at('ffn_norm'));
    delta = linear(addGatedUnit(graph, config, linear, y, weight, at), [weight('ffn_down')], at('ffn_down'));
    yield (block + 1) / (blocks + 1);
  }

  const last = normalize('output_norm.weight', 'output_norm');
  const wanted = graph.node('Gather', [last, 'rows'], 'wanted', { axis: 0 });
  addHead(graph, source, config, wanted, head, options);
  graph.node('Concat', newRows, 'newkv', { axis: 1 });
  graph.inVariant('probe', () => {
    for (let block = 0; block < blocks; block++) {
      for (const norm of ['attn_norm', 'ffn_norm']) graph.output(`b${block}_${norm}`, 'float32', ['bs', hiddenSize]);
    }
    graph.output(wanted, 'float32', ['m', hiddenSize]);
  });
  graph.output('logits', 'float32', ['m', config.vocabularySize]);
  graph.output('newkv', 'float32', ['b', 2 * blocks * kvHeads, 's', headSize]);
  yield 1;
}

/** Cached keys and values of a block, as float32. */
function addPast(graph: OnnxGraph, { kvHeads, headSize }: ModelConfig, block: number, { precision }: ProductOptions): [string, string] {
  const add = (name: string) => {
    const stored = graph.input(name, precision === 'exact' ? 'float32' : 'float16', ['b', kvHeads, 'C', headSize]);
    return precision === 'exact' ? stored : graph.node('Cast', [stored], `${name}_wide`, { to: ELEMENT_TYPES.float32 });
  };
  return [add(`past_key_${block}`), add(`past_value_${block}`)];
}

/** Qwen 2 adds a bias to queries, keys and values. */
function addBias(graph: OnnxGraph, source: TensorSource, config: ModelConfig, block: number, x: string, output: string): string {
  const names = ['q', 'k', 'v'].map((part) => `blk.${block}.attn_${part}.bias`);
  if (names.every((name) => source.find(name) === undefined)) return x;
  if (source.interleavesHalves) throw new SentenceError(`${source.label} has attention biases, which this engine reads for Qwen only.`);
  const { heads, kvHeads, headSize } = config;
  const parts = names.map((name, i) => loadVector(source, name, (i === 0 ? heads : kvHeads) * headSize));
  const bias = Float32Array.from(parts.flatMap((part) => [...part]));
  return graph.node('Add', [x, graph.constant(`${output}_bias`, bias, [bias.length])], output);
}

/** Qwen 3 normalizes each query and key head; other families do not. */
function addHeadNorm(graph: OnnxGraph, source: TensorSource, config: ModelConfig, block: number, x: string): string {
  const { heads, kvHeads, headSize, normEpsilon } = config;
  const [queryNorm, keyNorm] = ['q', 'k'].map((part) => `blk.${block}.attn_${part}_norm.weight`);
  if (queryNorm === undefined || keyNorm === undefined || source.find(queryNorm) === undefined) return x;
  graph.node('Split', [x, graph.integers(heads * headSize, kvHeads * headSize)], [`${x}_q`, `${x}_k`], { axis: -1 });
  const normalize = (part: string, name: string, count: number) => {
    const cut = graph.node('Reshape', [part, graph.integers(0, 0, count, headSize)], `${part}_cut`);
    const gamma = graph.constant(`${part}_gamma`, loadVector(source, name, headSize), [headSize]);
    const epsilon = { float: normEpsilon };
    const even = graph.node('SimplifiedLayerNormalization', [cut, gamma], `${part}_even`, { axis: -1, epsilon, stash_type: 1 });
    return graph.node('Reshape', [even, graph.integers(0, 0, count * headSize)], `${part}_flat`);
  };
  const parts = [normalize(`${x}_q`, queryNorm, heads), normalize(`${x}_k`, keyNorm, kvHeads)];
  return graph.node('Concat', parts, `${x}_normalized`, { axis: -1 });
}

function addGatedUnit(
  graph: OnnxGraph,
  config: ModelConfig,
  linear: (x: string, names: readonly string[], output: string) => string,
  x: string,
  weight: (name: string) => string,
  at: (name: string) => string,
): string {
  const both = linear(x, [weight('ffn_gate'), weight('ffn_up')], at('gate_up'));
  graph.node('Split', [both, graph.integers(config.feedForwardSize, config.feedForwardSize)], [at('gate'), at('up')], { axis: -1 });
  const silu = graph.node('QuickGelu', [at('gate')], at('silu'), { alpha: { float: 1 } }, CONTRIB);
  return graph.node('Mul', [silu, at('up')], at('gated'));
}

/** Angles in float64, then rounded: at position 8191 float32 angles would be off by 2e-4. */
function addRotaryTables(graph: OnnxGraph, { contextLength, headSize, ropeBase }: ModelConfig): { cos: string; sin: string } {
  const half = headSize / 2;
  const cos = new Float32Array(contextLength * half);
  const sin = new Float32Array(contextLength * half);
  for (let position = 0; position < contextLength; position++) {
    for (let i = 0; i < half; i++) {
      const angle = position * ropeBase ** ((-2 * i) / headSize);
      cos[position * half + i] = Math.cos(angle);
      sin[position * half + i] = Math.sin(angle);
    }
  }
  return { cos: graph.constant('cos', cos, [contextLength, half]), sin: graph.constant('sin', sin, [contextLength, half]) };
}

/** How many weights the adapted products stack: outputs alone, gate and up, or query, key and value. */
export const ADAPTED_PARTS = [1, 2, 3] as const;

/**
 * LoRA (Hu et al., 2021) for rows of several adapters at once: y + (x A * mask) B. A and B hold the ranks of all adapters of the step side
 * by side, the mask lets each row see its own, and a row without one gets its product unchanged to the bit.
 */
function addAdapters(graph: OnnxGraph, x: string, product: string, matrices: readonly WeightMatrix[], output: string): string {
  const columns = matrices[0]?.columns ?? 0;
  const rows = matrices.reduce((sum, matrix) => sum + matrix.rows, 0);
  const ranks = `R${matrices.length}`;
  for (const variant of ['plain', 'probe'] as const) {
    graph.inVariant(variant, () => {
      graph.node('Identity', [product], output);
    });
  }
  graph.inVariant('adapted', () => {
    const down = graph.input(`${output}_a`, 'float32', [columns, ranks]);
    const up = graph.input(`${output}_b`, 'float32', [ranks, rows]);
    const inner = graph.node('MatMul', [x, down], `${output}_down`);
    const own = graph.node('Mul', [inner, `adapter_mask_${matrices.length}`], `${output}_own`);
    graph.node('Add', [product, graph.node('MatMul', [own, up], `${output}_delta`)], output);
  });
  return output;
}

/** Weights that an output head tied to the embedding can use again. */
interface SharedEmbedding {
  readonly matrix: WeightMatrix;
  readonly names: { readonly codes: string; readonly scales: string } | { readonly values: string };
}

/** Looks tokens up: `embedded` [b*s, hiddenSize]. Codes are stored once for lookup and head when both can take them as they are. */
function addEmbedding(graph: OnnxGraph, matrix: WeightMatrix, hiddenSize: number): SharedEmbedding {
  const { rows, columns } = matrix;
  const flatten = (name: string) => graph.node('Reshape', [name, graph.integers(-1, hiddenSize)], 'embedded');
  if (matrix.form === 'dense') {
    const values = graph.constant('embedding', matrix.values, [rows, columns]);
    flatten(graph.node('Gather', [values, 'input_ids'], 'looked_up', { axis: 0 }));
    return { matrix, names: { values } };
  }
  const parts = columns / matrix.blockSize;
  const wide = widenCodes(matrix);
  const stored = graph.store(wide.codes);
  const lookup = graph.stored('embedding', 'uint8', [rows, columns], stored);
  const scales = graph.constant('embedding_s', matrix.scales, [rows, parts]);
  const attributes = { gather_axis: 0, quantize_axis: 1, block_size: matrix.blockSize, bits: 8 };
  let found = graph.node('GatherBlockQuantized', [lookup, 'input_ids', scales], 'looked_up', attributes, CONTRIB);
  if (matrix.offsets !== undefined) {
    const offsets = graph.node('Gather', [graph.constant('embedding_o', matrix.offsets, [rows, parts]), 'input_ids'], 'offsets', {
      axis: 0,
    });
    const cut = graph.node('Reshape', [found, graph.integers(-1, parts, matrix.blockSize)], 'looked_up_cut');
    found = graph.node('Add', [cut, graph.node('Reshape', [offsets, graph.integers(-1, parts, 1)], 'offsets_cut')], 'looked_up_whole');
  }
  flatten(found);
  const codes = matrix.bits === 8 ? stored : graph.store(packCodes(matrix));
  return { matrix, names: { codes: graph.stored('embedding_head', 'uint8', codesShape(matrix), codes), scales } };
}

/** The same weights with 8-bit codes. */
function widenCodes(matrix: BlockMatrix): BlockMatrix {
  if (matrix.bits === 8) return matrix;
  return { ...matrix, bits: 8, codes: matrix.codes.map((code) => code - 8 + 128) };
}

function addHead(
  graph: OnnxGraph,
  source: TensorSource,
  config: ModelConfig,
  x: string,
  shared: SharedEmbedding,
  options: ProductOptions,
): void {
  if (source.find('output.weight') !== undefined) {
    addProduct(graph, x, loadMatrix(source, config, 'output.weight'), 'logits', options);
  } else if ('values' in shared.names) {
    graph.node('Gemm', [x, shared.names.values], 'logits', { transB: 1 });
  } else if (shared.matrix.form === 'blocks') {
    addBlockProduct(graph, x, shared.matrix, shared.names, 'logits', options);
  }
}

/** Rows and columns that each weight must have. */
function expectedShape(config: ModelConfig, name: string): readonly [rows: number, columns: number] {
  const { hiddenSize, feedForwardSize, heads, kvHeads, headSize, vocabularySize } = config;
  const part = name.replace(/^blk\.\d+\./, '').replace(/\.weight$/, '');
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

function loadMatrix(source: TensorSource, config: ModelConfig, name: string): WeightMatrix {
  const tensor = source.find(name);
  if (tensor === undefined) throw new SentenceError(`${source.label} has no tensor ${name}.`);
  const [rows, columns] = expectedShape(config, name);
  if (tensor.rows !== rows || tensor.columns !== columns) {
    throw new SentenceError(`${source.label}: ${name} has ${tensor.rows} rows of ${tensor.columns}, expected ${rows} of ${columns}.`);
  }
  const matrix = readWeightMatrix(name, tensor.type, tensor.read(), rows, columns);
  if (source.interleavesHalves && name.endsWith('attn_q.weight')) return takeRows(matrix, separateHalves(config.heads, config.headSize));
  if (source.interleavesHalves && name.endsWith('attn_k.weight')) return takeRows(matrix, separateHalves(config.kvHeads, config.headSize));
  return matrix;
}

function loadVector(source: TensorSource, name: string, length: number): Float32Array {
  const tensor = source.find(name);
  if (tensor === undefined) throw new SentenceError(`${source.label} has no tensor ${name}.`);
  if (tensor.rows * tensor.columns !== length) throw new SentenceError(`${source.label}: ${name} must hold ${length} values.`);
  return readFloats(name, tensor.type, tensor.read());
}
