/**
 * Looks tokens up in the rows of a model's embedding, which are read from the weights file one by one. In the graph they would be mapped:
 * with every token the pages around its row would join the memory of the process, until all of the table is there, beside the copy that
 * onnxruntime packs for a tied head.
 */
import { closeSync, openSync, readSync } from 'node:fs';
import type { EmbeddingLayout } from '../convert/model-folder.ts';

export interface EmbeddingShape {
  readonly vocabularySize: number;
  readonly hiddenSize: number;
}

/** Writes the float32 values of one token's row. */
type ReadRow = (tokenId: number, row: Float32Array) => void;

export class EmbeddingTable {
  readonly #shape: EmbeddingShape;
  readonly #descriptor: number;
  readonly #readRow: ReadRow;

  /** @param path of the weights file, which stays open until `close`. */
  constructor(path: string, layout: EmbeddingLayout, shape: EmbeddingShape) {
    this.#shape = shape;
    this.#descriptor = openSync(path, 'r');
    this.#readRow = layout.form === 'dense' ? this.#denseRows(layout) : this.#blockRows(layout);
  }

  /** @returns `[tokens, hiddenSize]`. @throws {RangeError} an id outside of the vocabulary. */
  lookUp(tokenIds: readonly number[]): Float32Array {
    const { vocabularySize, hiddenSize } = this.#shape;
    const rows = new Float32Array(tokenIds.length * hiddenSize);
    for (const [i, id] of tokenIds.entries()) {
      if (!Number.isInteger(id) || id < 0 || id >= vocabularySize) throw new RangeError(`the vocabulary has no token ${id}`);
      this.#readRow(id, rows.subarray(i * hiddenSize, (i + 1) * hiddenSize));
    }
    return rows;
  }

  close(): void {
    closeSync(this.#descriptor);
  }

  #denseRows({ values }: Extract<EmbeddingLayout, { form: 'dense' }>): ReadRow {
    return (id, row) => this.#read(row, values.offset + id * row.byteLength);
  }

  /** As `MatMulNBits` has them: each scale covers a block of unsigned codes, 4-bit ones in pairs, low nibble first. */
  #blockRows({ bits, blockSize, codes, scales, offsets }: Extract<EmbeddingLayout, { form: 'blocks' }>): ReadRow {
    const { hiddenSize } = this.#shape;
    const zero = 2 ** (bits - 1);
    const packed = new Uint8Array((hiddenSize * bits) / 8);
    const scale = new Float32Array(hiddenSize / blockSize);
    const offset = new Float32Array(scale.length); // stays zero where the format has none
    const codeAt = bits === 8 ? (i: number) => packed[i] ?? 0 : (i: number) => ((packed[i >> 1] ?? 0) >> (4 * (i & 1))) & 15;
    return (id, row) => {
      this.#read(packed, codes.offset + id * packed.byteLength);
      this.#read(scale, scales.offset + id * scale.byteLength);
      if (offsets !== undefined) this.#read(offset, offsets.offset + id * offset.byteLength);
      for (let i = 0; i < hiddenSize; i++) {
        const block = Math.floor(i / blockSize);
        row[i] = Math.fround((codeAt(i) - zero) * (scale[block] ?? 0)) + (offset[block] ?? 0);
      }
    };
  }

  #read(target: Uint8Array | Float32Array, position: number): void {
    const count = readSync(this.#descriptor, target, 0, target.byteLength, position);
    if (count !== target.byteLength) throw new Error('the weights file is shorter than it was');
  }
}
