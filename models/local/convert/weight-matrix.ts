/**
 * Weights on their way from ggml's blocks to ONNX operators, kept exactly: codes become unsigned 4 or 8 bit with the implicit zero point
 * of `MatMulNBits` (8 or 128), and what is left of a format's offset goes to a small side matrix, multiplied with the block sums of the
 * input:
 *   w = scale * (code - zero) + offset   =>   y = x W' + blocksum(x) offset'
 */
import { SentenceError } from '../sentence-error.ts';
import { BLOCK_FORMATS } from './block-formats.ts';

/** Row-major float weights, N rows of K columns. */
interface DenseMatrix {
  readonly form: 'dense';
  readonly rows: number;
  readonly columns: number;
  readonly values: Float32Array;
}

export interface BlockMatrix {
  readonly form: 'blocks';
  readonly rows: number;
  readonly columns: number;
  readonly bits: 4 | 8;
  readonly blockSize: 16 | 32;
  /** Unsigned codes, one a byte, row-major; the zero point is `2 ** (bits - 1)`. */
  readonly codes: Uint8Array;
  /** `[rows, columns / blockSize]` */
  readonly scales: Float32Array;
  /** `[rows, columns / blockSize]`, or `undefined` when every offset is 0. */
  readonly offsets: Float32Array | undefined;
}

export type WeightMatrix = DenseMatrix | BlockMatrix;

const FLOAT_TYPES = ['F32', 'F16', 'BF16'];
const READABLE_TYPES: readonly string[] = [...FLOAT_TYPES, ...Object.keys(BLOCK_FORMATS)];

/** @param bytes the tensor as it lies in its file. @throws {SentenceError} a type that cannot be read exactly. */
export function readWeightMatrix(name: string, type: string, bytes: Uint8Array, rows: number, columns: number): WeightMatrix {
  if (FLOAT_TYPES.includes(type)) return { form: 'dense', rows, columns, values: readFloats(name, type, bytes) };
  const format = Object.hasOwn(BLOCK_FORMATS, type) ? BLOCK_FORMATS[type] : undefined;
  if (format === undefined) {
    throw new SentenceError(`The model stores ${name} as ${type}; this engine reads ${READABLE_TYPES.join(', ')}.`);
  }
  const { bits, blockSize, hasOffsets } = format;
  const elements = rows * columns;
  const sink = {
    codes: new Uint8Array(elements),
    scales: new Float32Array(elements / blockSize),
    offsets: new Float32Array(hasOffsets ? elements / blockSize : 0),
  };
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const blocks = elements / format.elements;
  for (let block = 0; block < blocks; block++) {
    const first = block * format.elements;
    format.read(view, (bytes.byteLength / blocks) * block, sink, first, first / blockSize);
  }
  const { codes, scales } = sink;
  return { form: 'blocks', rows, columns, bits, blockSize, codes, scales, offsets: hasOffsets ? sink.offsets : undefined };
}

/** @throws {SentenceError} another type than the float ones. */
export function readFloats(name: string, type: string, bytes: Uint8Array): Float32Array {
  const { buffer } = new Uint8Array(bytes); // a copy: aligned, whatever the offset in the file was
  switch (type) {
    case 'F32':
      return new Float32Array(buffer);
    case 'F16':
      return Float32Array.from(new Float16Array(buffer));
    case 'BF16': {
      // A bfloat16 is the upper half of a float32.
      const halves = new Uint16Array(buffer);
      return new Float32Array(Uint32Array.from(halves, (half) => half << 16).buffer);
    }
    default:
      throw new SentenceError(`The model stores ${name} as ${type}; this engine reads it as ${FLOAT_TYPES.join(', ')} only.`);
  }
}

/** Reorders rows: row `i` of the result is row `order[i]` of the matrix. */
export function takeRows(matrix: WeightMatrix, order: ArrayLike<number>): WeightMatrix {
  const take = <T extends Float32Array | Uint8Array>(values: T, target: T): T => {
    const width = values.length / matrix.rows;
    for (let i = 0; i < order.length; i++) {
      const row = order[i] ?? 0;
      target.set(values.subarray(row * width, (row + 1) * width), i * width);
    }
    return target;
  };
  const floats = (values: Float32Array) => take(values, new Float32Array((values.length / matrix.rows) * order.length));
  if (matrix.form === 'dense') return { ...matrix, rows: order.length, values: floats(matrix.values) };
  return {
    ...matrix,
    rows: order.length,
    codes: take(matrix.codes, new Uint8Array(matrix.columns * order.length)),
    scales: floats(matrix.scales),
    offsets: matrix.offsets === undefined ? undefined : floats(matrix.offsets),
  };
}

/**
 * GGUF stores the rows of Llama's query and key weights with the two halves of each head interleaved; rotating halves needs them apart.
 * The row order `(head, size/2, 2) -> (head, 2, size/2)`.
 */
export function separateHalves(heads: number, headSize: number): Int32Array {
  const half = headSize / 2;
  return Int32Array.from({ length: heads * headSize }, (_, row) => {
    const head = Math.floor(row / headSize);
    const inHead = row % headSize;
    return head * headSize + (inHead % half) * 2 + Math.floor(inHead / half);
  });
}

/** Stacks rows of matrices of one form; `undefined` when their forms differ. */
export function stackRows(matrices: readonly WeightMatrix[]): WeightMatrix | undefined {
  const [first] = matrices;
  if (first === undefined) return undefined;
  const rows = matrices.reduce((sum, matrix) => sum + matrix.rows, 0);
  if (first.form === 'dense') {
    const parts = matrices.filter((matrix) => matrix.form === 'dense');
    if (parts.length !== matrices.length) return undefined;
    return { ...first, rows, values: joinFloats(parts.map((part) => part.values)) };
  }
  const parts = matrices.filter((matrix) => matrix.form === 'blocks' && sameForm(matrix, first)) as BlockMatrix[]; // by the filter
  if (parts.length !== matrices.length) return undefined;
  const codes = new Uint8Array(rows * first.columns);
  let at = 0;
  for (const part of parts) {
    codes.set(part.codes, at);
    at += part.codes.length;
  }
  const hasOffsets = first.offsets !== undefined;
  return {
    ...first,
    rows,
    codes,
    scales: joinFloats(parts.map((part) => part.scales)),
    offsets: hasOffsets ? joinFloats(parts.map((part) => part.offsets ?? new Float32Array(part.scales.length))) : undefined,
  };
}

function sameForm(a: BlockMatrix, b: BlockMatrix): boolean {
  return a.bits === b.bits && a.blockSize === b.blockSize && (a.offsets === undefined) === (b.offsets === undefined);
}

function joinFloats(parts: readonly Float32Array[]): Float32Array {
  const joined = new Float32Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    joined.set(part, at);
    at += part.length;
  }
  return joined;
}

/** Codes as `MatMulNBits` packs them: 4-bit ones in consecutive pairs, low nibble first. */
export function packCodes(matrix: BlockMatrix): Uint8Array {
  if (matrix.bits === 8) return matrix.codes;
  const packed = new Uint8Array(matrix.codes.length / 2);
  for (let i = 0; i < packed.length; i++) packed[i] = (matrix.codes[2 * i] ?? 0) | ((matrix.codes[2 * i + 1] ?? 0) << 4);
  return packed;
}
