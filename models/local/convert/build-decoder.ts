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
 *   embedded   float32 [b * s, hiddenSize], the embeddings of the new tokens
 *   positions   int64 [b, s]
 *   past_key_i, past_value_i   float16 (float32 in the exact graph) [b, kvHeads, C, headSize], positions before the window
 *   window_key_i, window_value_i   float32 [b, kvHeads, 64, headSize], zero where nothing is cached yet
 *   past_mask   float32 [b, 1, 1, C], added to the scores: 0 or a large negative number
 *   window_mask   float32 [b, 1, groupSize * s, 64]; rows run over (query head within its group, new token)
 *   place   int64 [b], where in the window the first new token is
 *   rows   int64 [m], the flat rows whose logits are wanted
 *   -> logits   float32 [m, vocabulary]
 *   -> newkv   float32 [b, 2 * blocks * kvHeads, s, headSize], key then value of each block
 *   The probe graph has one more output for each product with a normalized input: that input, named as in `ProductOptions.outliers`.
 */
import type { ModelConfig } from '../gguf/model-config.ts';
import { addAttention, addSharedParts } from './add-attention.ts';
import { addLinear, type ProductOptions } from './add-product.ts';
import { addHead, type StoredEmbedding } from './embedding-weights.ts';
import { loadMatrix, loadVector, type TensorSource } from './load-tensor.ts';
import { CONTRIB, type OnnxGraph } from './onnx-graph.ts';
import type { WeightMatrix } from './weight-matrix.ts';

/** Adds the whole decoder, pausing after each block so that the caller can report progress or stop. */
export function* buildDecoder(
  graph: OnnxGraph,
  config: ModelConfig,
  source: TensorSource,
  embedding: StoredEmbedding,
  options: ProductOptions,
): Generator<number> {
  const { blocks, hiddenSize, kvHeads, headSize } = config;
  const linear = (x: string, names: readonly string[], output: string) => {
    const matrices = names.map((name) => loadMatrix(source, config, name));
    return addAdapters(graph, x, addLinear(graph, x, matrices, `${output}_plain`, options), matrices, output);
  };
  graph.inVariant('adapted', () => {
    for (const parts of ADAPTED_PARTS) graph.input(`adapter_mask_${parts}`, 'float32', ['T', `R${parts}`]);
  });

  graph.input('rows', 'int64', ['m']);
  const shared = addSharedParts(graph, config);

  let residual = graph.input('embedded', 'float32', ['bs', hiddenSize]);
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
    const x = normalize(weight('attn_norm'), at('attn_norm'));
    const product = linear(x, [weight('attn_q'), weight('attn_k'), weight('attn_v')], at('qkv_product'));
    const attention = addAttention(graph, source, config, shared, block, product, options.precision);
    newRows.push(...attention.newRows);
    delta = linear(attention.attended, [weight('attn_output')], at('attn_output'));

    const y = normalize(weight('ffn_norm'), at('ffn_norm'));
    delta = linear(addGatedUnit(graph, config, linear, y, weight, at), [weight('ffn_down')], at('ffn_down'));
    yield (block + 1) / (blocks + 1);
  }

  const last = normalize('output_norm.weight', 'output_norm');
  const wanted = graph.node('Gather', [last, 'rows'], 'wanted', { axis: 0 });
  addHead(graph, source, config, wanted, embedding, options);
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
