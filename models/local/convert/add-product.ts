/**
 * Products with weights, as onnxruntime computes them. `MatMulNBits` rounds each 32 inputs to 8 bit by their greatest one, so a channel
 * that is always far greater than its neighbours costs them their precision. Such outliers (Dettmers et al., 2022) are the same channels
 * for every token, so they are left out of the rounded product and computed in float32 beside it, together with the block sums that
 * the formats' offsets are multiplied with:
 *   y = (x without outliers) W' + [blocksum(x), x's outliers] [offsets, W' of the outliers]
 */
import { CONTRIB, type OnnxGraph } from './onnx-graph.ts';
import { type BlockMatrix, packCodes, stackRows, type WeightMatrix } from './weight-matrix.ts';

/**
 * `exact` computes with float32 activations (slow: the oracle's form); `fast` rounds them to 8 bit, as llama.cpp does.
 * onnxruntime's `accuracy_level` 1 and 4.
 */
export type Precision = 'exact' | 'fast';

export interface ProductOptions {
  readonly precision: Precision;
  /** Channels of a product's input, by the input's name, that are not rounded. */
  readonly outliers: ReadonlyMap<string, readonly number[]>;
}

/** Output rows are the concatenated rows of the matrices. Equal formats are stacked into one product. */
export function addLinear(graph: OnnxGraph, x: string, matrices: readonly WeightMatrix[], output: string, options: ProductOptions): string {
  const stacked = stackRows(matrices);
  if (stacked === undefined) {
    const parts = matrices.map((matrix, i) => addProduct(graph, x, matrix, `${output}_${i}`, options));
    return graph.node('Concat', parts, output, { axis: 1 });
  }
  return addProduct(graph, x, stacked, output, options);
}

export function addProduct(graph: OnnxGraph, x: string, matrix: WeightMatrix, output: string, options: ProductOptions): string {
  const { rows, columns } = matrix;
  if (matrix.form === 'dense') {
    return graph.node('Gemm', [x, graph.constant(`${output}_w`, matrix.values, [rows, columns])], output, { transB: 1 });
  }
  const codes = graph.constant(`${output}_w`, packCodes(matrix), codesShape(matrix));
  const scales = graph.constant(`${output}_s`, matrix.scales, [rows, columns / matrix.blockSize]);
  return addBlockProduct(graph, x, matrix, { codes, scales }, output, options);
}

/** Of the codes that `packCodes` gives. */
export function codesShape({ rows, columns, bits, blockSize }: BlockMatrix): number[] {
  return [rows, columns / blockSize, (blockSize * bits) / 8];
}

export function addBlockProduct(
  graph: OnnxGraph,
  x: string,
  matrix: BlockMatrix,
  names: { codes: string; scales: string },
  output: string,
  { precision, outliers }: ProductOptions,
): string {
  const { rows, columns, bits, blockSize, offsets } = matrix;
  const apart = outliers.get(x) ?? [];
  const isWhole = offsets === undefined && apart.length === 0;
  const product = graph.node(
    'MatMulNBits',
    [addMask(graph, x, columns, apart, output), names.codes, names.scales],
    isWhole ? output : `${output}_product`,
    { K: columns, N: rows, bits, block_size: blockSize, accuracy_level: precision === 'fast' ? 4 : 1 },
    CONTRIB,
  );
  if (isWhole) return product;
  const picked = addSideInputs(graph, x, matrix, apart, output);
  const side = graph.constant(`${output}_o`, sideWeights(matrix, apart), [rows, sideColumns(matrix, apart)]);
  return graph.node('Gemm', [picked, side, product], output, { transB: 1 });
}

/** The input without its outliers. */
function addMask(graph: OnnxGraph, x: string, columns: number, outliers: readonly number[], output: string): string {
  if (outliers.length === 0) return x;
  const mask = new Float32Array(columns).fill(1);
  for (const channel of outliers) mask[channel] = 0;
  return graph.node('Mul', [x, graph.constant(`${output}_mask`, mask, [columns])], `${output}_masked`);
}

/** What the side product takes: the sums of the input's blocks if the format has offsets, then the outliers. */
function addSideInputs(graph: OnnxGraph, x: string, matrix: BlockMatrix, outliers: readonly number[], output: string): string {
  const { columns, blockSize, offsets } = matrix;
  const parts = columns / blockSize;
  // Not for the head, which may be asked for no row at all: `ReduceSum` gives another rank then.
  if (outliers.length === 0 && output !== 'logits') {
    const cut = graph.node('Reshape', [x, graph.integers(-1, parts, blockSize)], `${output}_cut`);
    return graph.node('ReduceSum', [cut, graph.integers(-1)], `${output}_sums`, { keepdims: 0 });
  }
  const width = sideColumns(matrix, outliers);
  const pick = new Float32Array(columns * width);
  for (let column = 0; offsets !== undefined && column < columns; column++) pick[column * width + Math.floor(column / blockSize)] = 1;
  for (const [i, channel] of outliers.entries()) pick[channel * width + width - outliers.length + i] = 1;
  return graph.node('MatMul', [x, graph.constant(`${output}_pick`, pick, [columns, width])], `${output}_picked`);
}

function sideColumns({ columns, blockSize, offsets }: BlockMatrix, outliers: readonly number[]): number {
  return (offsets === undefined ? 0 : columns / blockSize) + outliers.length;
}

/** `[rows, sideColumns]` */
function sideWeights(matrix: BlockMatrix, outliers: readonly number[]): Float32Array {
  const { rows, columns, bits, blockSize, codes, scales, offsets } = matrix;
  const parts = columns / blockSize;
  const width = sideColumns(matrix, outliers);
  const weights = new Float32Array(rows * width);
  for (let row = 0; row < rows; row++) {
    if (offsets !== undefined) weights.set(offsets.subarray(row * parts, (row + 1) * parts), row * width);
    for (const [i, channel] of outliers.entries()) {
      const code = (codes[row * columns + channel] ?? 0) - 2 ** (bits - 1);
      weights[(row + 1) * width - outliers.length + i] = (scales[row * parts + Math.floor(channel / blockSize)] ?? 0) * code;
    }
  }
  return weights;
}
