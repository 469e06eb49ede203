/**
 * Attention, written out, of the new tokens to the complete windows before theirs and to the window in which they lie. Scores and values of the
 * two parts are summed apart, with every position at the same place in its sum, however many tokens are new.
 */
import type { ModelConfig } from '../gguf/model-config.ts';
import { SentenceError } from '../sentence-error.ts';
import type { Precision } from './add-product.ts';
import { loadVector, type TensorSource } from './load-tensor.ts';
import { CONTRIB, ELEMENT_TYPES, type OnnxGraph } from './onnx-graph.ts';

/** Positions whose keys are summed apart from the ones before; a step's new tokens lie in one window. */
export const WINDOW_TOKENS = 64;

/** What the attention of every block takes. */
interface SharedParts {
  /** Cosines and sines `[contextLength, headSize / 2]`. */
  readonly cos: string;
  readonly sin: string;
  /** Added to the scores: `[b, 1, group * s, C + 64]`. */
  readonly mask: string;
  /** Positions of past and window. */
  readonly split: string;
  /** `[b, s, heads + 2 * kvHeads, headSize]` */
  readonly headsShape: string;
}

/** Adds the inputs that all blocks read, but for the caches. */
export function addSharedParts(graph: OnnxGraph, config: ModelConfig): SharedParts {
  const { heads, kvHeads, headSize } = config;
  graph.input('positions', 'int64', ['b', 's']);
  graph.input('past_mask', 'float32', ['b', 1, 1, 'C']);
  graph.input('window_mask', 'float32', ['b', 1, 'gs', WINDOW_TOKENS]);
  graph.input('place', 'int64', ['b']);
  const pastLength = graph.node('Shape', ['past_mask'], 'past_length', { start: 3 });
  const batchShape = graph.node('Shape', ['positions'], 'batch_shape');
  return {
    ...addRotaryTables(graph, config),
    mask: addMask(graph),
    split: graph.node('Concat', [pastLength, graph.integers(WINDOW_TOKENS)], 'attention_split', { axis: 0 }),
    headsShape: graph.node('Concat', [batchShape, graph.integers(heads + 2 * kvHeads, headSize)], 'heads_shape', { axis: 0 }),
  };
}

/**
 * @param product queries, keys and values `[b * s, (heads + 2 * kvHeads) * headSize]`, before biases and rotation
 * @returns the attended values `[b * s, heads * headSize]`, and new keys and values `[b, kvHeads, s, headSize]` for the caches.
 */
export function addAttention(
  graph: OnnxGraph,
  source: TensorSource,
  config: ModelConfig,
  { cos, sin, mask, split, headsShape }: SharedParts,
  block: number,
  product: string,
  precision: Precision,
): { attended: string; newRows: [key: string, value: string] } {
  const { heads, kvHeads, headSize } = config;
  const at = (name: string) => `b${block}_${name}`;
  const [pastKey, pastValue] = addPast(graph, config, block, precision);
  const windowKey = graph.input(`window_key_${block}`, 'float32', ['b', kvHeads, WINDOW_TOKENS, headSize]);
  const windowValue = graph.input(`window_value_${block}`, 'float32', ['b', kvHeads, WINDOW_TOKENS, headSize]);

  const cut = graph.node('Reshape', [addBias(graph, source, config, block, product, at('qkv')), headsShape], at('qkv_heads'));
  graph.shape(cut, ['b', 's', heads + 2 * kvHeads, headSize]);
  const turned = graph.node('Transpose', [cut], at('qkv_turned'), { perm: [0, 2, 1, 3] });
  graph.node('Split', [turned, graph.integers(heads + kvHeads, kvHeads)], [at('qk'), at('v')], { axis: 1 });
  const normalized = addHeadNorm(graph, source, config, block, at('qk'));
  const rotated = graph.node('RotaryEmbedding', [normalized, 'positions', cos, sin], at('qk_rotated'), { interleaved: 0 }, CONTRIB);
  graph.node('Split', [rotated, graph.integers(heads, kvHeads)], [at('q'), at('k')], { axis: 1 });
  // Queries of one group share their keys: they are rows of one matrix, (head in group, position).
  const q = graph.node('Reshape', [at('q'), graph.integers(0, kvHeads, -1, headSize)], at('q_rows'));
  graph.shape(q, ['b', kvHeads, 'gs', headSize]);
  const nearKeys = graph.node('TensorScatter', [windowKey, at('k'), 'place'], at('near_key'));
  const nearValues = graph.node('TensorScatter', [windowValue, at('v'), 'place'], at('near_value'));

  const scaled = { transB: 1, alpha: { float: headSize ** -0.5 } };
  const pastScores = graph.node('FusedMatMul', [q, pastKey], at('past_dot'), scaled, CONTRIB);
  const nearScores = graph.node('FusedMatMul', [q, nearKeys], at('near_dot'), scaled, CONTRIB);
  const dots = graph.node('Concat', [pastScores, nearScores], at('dot'), { axis: -1 });
  graph.shape(dots, ['b', kvHeads, 'gs', 'C+64']);
  const shares = graph.node('Softmax', [graph.node('Add', [dots, mask], at('scores'))], at('shares'), { axis: -1 });
  graph.node('Split', [shares, split], [at('past_share'), at('near_share')], { axis: -1 });
  graph.shape(at('past_share'), ['b', kvHeads, 'gs', 'C']);
  graph.shape(at('near_share'), ['b', kvHeads, 'gs', WINDOW_TOKENS]);
  const fromPast = graph.node('MatMul', [at('past_share'), pastValue], at('from_past'));
  const fromNear = graph.node('MatMul', [at('near_share'), nearValues], at('from_near'));
  const sum = graph.node('Add', [fromPast, fromNear], at('attended'));
  const byHead = graph.node('Reshape', [sum, graph.integers(0, heads, -1, headSize)], at('attended_heads'));
  graph.shape(byHead, ['b', heads, 's', headSize]);
  const byToken = graph.node('Transpose', [byHead], at('attended_turned'), { perm: [0, 2, 1, 3] });
  const attended = graph.node('Reshape', [byToken, graph.integers(-1, heads * headSize)], at('attended_flat'));
  graph.shape(attended, ['bs', heads * headSize]);
  return { attended, newRows: [at('k'), at('v')] };
}

/** Of past and window side by side, once for all blocks. */
function addMask(graph: OnnxGraph): string {
  const rows = graph.node('Shape', ['window_mask'], 'mask_rows', { start: 2, end: 3 });
  const shape = graph.node('Concat', [graph.integers(1, 1), rows, graph.integers(1)], 'mask_shape', { axis: 0 });
  const past = graph.shape(graph.node('Expand', ['past_mask', shape], 'past_mask_rows'), ['b', 1, 'gs', 'C']);
  return graph.shape(graph.node('Concat', [past, 'window_mask'], 'mask', { axis: -1 }), ['b', 1, 'gs', 'C+64']);
}

/** Cached keys and values of a block, as float32. */
function addPast(graph: OnnxGraph, { kvHeads, headSize }: ModelConfig, block: number, precision: Precision): [string, string] {
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
  graph.node('Split', [x, graph.integers(heads, kvHeads)], [`${x}_q`, `${x}_k`], { axis: 1 });
  const normalize = (part: string, name: string) => {
    const gamma = graph.constant(`${part}_gamma`, loadVector(source, name, headSize), [headSize]);
    const attributes = { axis: -1, epsilon: { float: normEpsilon }, stash_type: 1 };
    return graph.node('SimplifiedLayerNormalization', [part, gamma], `${part}_even`, attributes);
  };
  const parts = [normalize(`${x}_q`, queryNorm), normalize(`${x}_k`, keyNorm)];
  return graph.node('Concat', parts, `${x}_normalized`, { axis: 1 });
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
