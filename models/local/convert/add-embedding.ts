/** The two ends of the decoder, which may share their weights: from token ids to rows, and from rows to logits. */
import type { ModelConfig } from '../gguf/model-config.ts';
import { addBlockProduct, addProduct, codesShape, type ProductOptions } from './add-product.ts';
import { loadMatrix, type TensorSource } from './load-tensor.ts';
import { CONTRIB, type OnnxGraph } from './onnx-graph.ts';
import { type BlockMatrix, packCodes, type WeightMatrix } from './weight-matrix.ts';

/** Weights that an output head tied to the embedding can use again. */
export interface SharedEmbedding {
  readonly matrix: WeightMatrix;
  readonly names: { readonly codes: string; readonly scales: string } | { readonly values: string };
}

/** Looks tokens up: `embedded` [b*s, hiddenSize]. Codes are stored once for lookup and head when both can take them as they are. */
export function addEmbedding(graph: OnnxGraph, matrix: WeightMatrix, hiddenSize: number): SharedEmbedding {
  const { rows, columns } = matrix;
  const flatten = (name: string) =>
    graph.shape(graph.node('Reshape', [name, graph.integers(-1, hiddenSize)], 'embedded'), ['bs', hiddenSize]);
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

/** `logits`, by the model's own output weights or those of its embedding. */
export function addHead(
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
