/**
 * The weights of the decoder's two ends, which a model may share: rows that tokens are looked up in, and the product that gives logits.
 * Lookup is no part of the graph, see `engine/embedding-table.ts`.
 */
import type { ModelConfig } from '../gguf/model-config.ts';
import { addBlockProduct, addProduct, codesShape, type ProductOptions } from './add-product.ts';
import { loadMatrix, type TensorSource } from './load-tensor.ts';
import type { EmbeddingLayout } from './model-folder.ts';
import type { OnnxGraph } from './onnx-graph.ts';
import { packCodes, type WeightMatrix } from './weight-matrix.ts';

export interface StoredEmbedding {
  readonly matrix: WeightMatrix;
  readonly layout: EmbeddingLayout;
}

/** Stores the rows as a tied head takes them, so that they are in the weights file once. */
export function storeEmbedding(graph: OnnxGraph, config: ModelConfig, source: TensorSource): StoredEmbedding {
  const matrix = loadMatrix(source, config, 'token_embd.weight');
  if (matrix.form === 'dense') return { matrix, layout: { form: 'dense', values: graph.store(matrix.values) } };
  const { bits, blockSize, scales, offsets } = matrix;
  const layout = { form: 'blocks', bits, blockSize, codes: graph.store(packCodes(matrix)), scales: graph.store(scales) } as const;
  return { matrix, layout: offsets === undefined ? layout : { ...layout, offsets: graph.store(offsets) } };
}

/** `logits`, by the model's own output weights or those of its embedding. */
export function addHead(
  graph: OnnxGraph,
  source: TensorSource,
  config: ModelConfig,
  x: string,
  { matrix, layout }: StoredEmbedding,
  options: ProductOptions,
): void {
  if (source.find('output.weight') !== undefined) {
    addProduct(graph, x, loadMatrix(source, config, 'output.weight'), 'logits', options);
  } else if (layout.form === 'dense') {
    const values = graph.stored('embedding', 'float32', [matrix.rows, matrix.columns], layout.values);
    graph.node('Gemm', [x, values], 'logits', { transB: 1 });
  } else if (matrix.form === 'blocks') {
    const { rows, columns, blockSize } = matrix;
    const codes = graph.stored('embedding', 'uint8', codesShape(matrix), layout.codes);
    const scales = graph.stored('embedding_s', 'float32', [rows, columns / blockSize], layout.scales);
    addBlockProduct(graph, x, matrix, { codes, scales }, 'logits', options);
  }
}
