/**
 * Weights on their way from ggml's blocks to ONNX operators. Every block format that has a straight line `w = scale * code + offset`
 * is kept exactly: codes become unsigned 4 or 8 bit with the implicit zero point of `MatMulNBits` (8 or 128), and what is left of the
 * offset goes to a small side matrix, multiplied with the block sums of the input:
 *   w = scale * (code - zero) + offset   =>   y = x W' + blocksum(x) offset'
 * Source of the layouts: `ggml-quants.c` (`dequantize_row_*`); of the packing: onnxruntime's `MatMulNBits`.
 */
import { SentenceError } from '../sentence-error.ts';

/** Row-major float weights, N rows of K columns. */
export interface DenseMatrix {
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

interface BlockFormat {
  readonly bits: 4 | 8;
  readonly blockSize: 16 | 32;
  readonly hasOffsets: boolean;
  /** Reads one ggml block into codes, scales and offsets at the given indices. */
  readonly read: (
    block: DataView,
    at: number,
    out: { codes: Uint8Array; scales: Float32Array; offsets: Float32Array },
    code: number,
    scale: number,
  ) => void;
}

const FORMATS: Readonly<Record<string, BlockFormat>> = {
  Q4_0: {
    bits: 4,
    blockSize: 32,
    hasOffsets: false,
    read(block, at, out, code, scale) {
      out.scales[scale] = block.getFloat16(at, true);
      for (let j = 0; j < 16; j++) {
        const byte = block.getUint8(at + 2 + j);
        out.codes[code + j] = byte & 15;
        out.codes[code + 16 + j] = byte >> 4;
      }
    },
  },
  Q4_1: {
    bits: 4,
    blockSize: 32,
    hasOffsets: true,
    read(block, at, out, code, scale) {
      const d = block.getFloat16(at, true);
      out.scales[scale] = d;
      out.offsets[scale] = block.getFloat16(at + 2, true) + 8 * d;
      for (let j = 0; j < 16; j++) {
        const byte = block.getUint8(at + 4 + j);
        out.codes[code + j] = byte & 15;
        out.codes[code + 16 + j] = byte >> 4;
      }
    },
  },
  Q8_0: {
    bits: 8,
    blockSize: 32,
    hasOffsets: false,
    read(block, at, out, code, scale) {
      out.scales[scale] = block.getFloat16(at, true);
      for (let j = 0; j < 32; j++) out.codes[code + j] = block.getInt8(at + 2 + j) + 128;
    },
  },
};

/** Node 24 has `Float16Array` and `DataView.getFloat16`; its type declarations follow the TypeScript library version. */
export const READABLE_TYPES: readonly string[] = ['F32', 'F16', ...Object.keys(FORMATS)];

/** @param bytes the tensor as it lies in a GGUF file. @throws {SentenceError} a type that cannot be read exactly. */
export function readWeightMatrix(name: string, type: string, bytes: Uint8Array, rows: number, columns: number): WeightMatrix {
  if (type === 'F32' || type === 'F16') return { form: 'dense', rows, columns, values: readFloats(type, bytes) };
  const format = Object.hasOwn(FORMATS, type) ? FORMATS[type] : undefined;
  if (format === undefined) {
    throw new SentenceError(`The model stores ${name} as ${type}; this engine reads ${READABLE_TYPES.join(', ')}.`);
  }
  const { bits, blockSize, hasOffsets } = format;
  const elements = rows * columns;
  const out = {
    codes: new Uint8Array(elements),
    scales: new Float32Array(elements / blockSize),
    offsets: new Float32Array(hasOffsets ? elements / blockSize : 0),
  };
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const blockElements = 32;
  const blockBytes = bytes.byteLength / (elements / blockElements);
  for (let block = 0; block * blockElements < elements; block++) {
    format.read(view, block * blockBytes, out, block * blockElements, (block * blockElements) / blockSize);
  }
  return {
    form: 'blocks',
    rows,
    columns,
    bits,
    blockSize,
    codes: out.codes,
    scales: out.scales,
    offsets: hasOffsets ? out.offsets : undefined,
  };
}

export function readFloats(type: 'F32' | 'F16', bytes: Uint8Array): Float32Array {
  if (type === 'F32') return new Float32Array(bytes.slice().buffer);
  return Float32Array.from(new Float16Array(bytes.slice().buffer));
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

/** `[rows, columns]` to `[columns, rows]`. */
export function transpose(values: Float32Array, rows: number, columns: number): Float32Array {
  const result = new Float32Array(values.length);
  for (let row = 0; row < rows; row++) {
    for (let column = 0; column < columns; column++) result[column * rows + row] = values[row * columns + column] ?? 0;
  }
  return result;
}
