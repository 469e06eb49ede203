/**
 * Keys and values of the running sequences, laid out as the graph takes them: for each block one array `[slots, kvHeads, capacity,
 * headSize]`, so that the first b slots are one contiguous tensor without a copy. `capacity` is a bucket just above the longest running
 * sequence: attention costs what is allocated, not what is allowed. Memory that no row was written to stays untouched zero pages.
 */
import { Tensor } from 'onnxruntime-node';

export interface KvShape {
  readonly blocks: number;
  readonly kvHeads: number;
  readonly headSize: number;
}

/** Positions for which memory is laid out, at least `length`: steps of 64 up to 512, then of an eighth of the next power of two. */
export function bucketFor(length: number): number {
  if (length <= 512) return Math.max(64, Math.ceil(length / 64) * 64);
  const step = 2 ** Math.ceil(Math.log2(length)) / 8;
  return Math.ceil(length / step) * step;
}

export class KvPool {
  readonly shape: KvShape;
  readonly slots: number;
  #capacity = 0;
  /** Key and value of block 0, of block 1, and so on. */
  #arrays: Float32Array<ArrayBuffer>[];

  constructor(shape: KvShape, slots: number) {
    this.shape = shape;
    this.slots = slots;
    this.#arrays = Array.from({ length: 2 * shape.blocks }, () => new Float32Array(0));
  }

  get capacity(): number {
    return this.#capacity;
  }

  /** Lays the pool out for another capacity, keeping `lengths[slot]` rows of each slot. */
  resize(capacity: number, lengths: readonly number[]): void {
    if (capacity === this.#capacity) return;
    const { kvHeads, headSize } = this.shape;
    const from = this.#capacity * headSize;
    const to = capacity * headSize;
    this.#arrays = this.#arrays.map((old) => {
      const fresh = new Float32Array(this.slots * kvHeads * to);
      for (const [slot, length] of lengths.entries()) {
        const floats = Math.min(length, capacity) * headSize;
        for (let head = slot * kvHeads; head < (slot + 1) * kvHeads; head++) {
          fresh.set(old.subarray(head * from, head * from + floats), head * to);
        }
      }
      if (old.length > 0) old.buffer.transfer(0); // gives the memory back now instead of at the next collection
      return fresh;
    });
    this.#capacity = capacity;
  }

  /** Tensors over `count` slots from `first`, in the order key, value of each block. */
  tensors(first: number, count: number): Tensor[] {
    const { kvHeads, headSize } = this.shape;
    const slotFloats = kvHeads * this.#capacity * headSize;
    return this.#arrays.map(
      (array) =>
        new Tensor('float32', array.subarray(first * slotFloats, (first + count) * slotFloats), [count, kvHeads, this.#capacity, headSize]),
    );
  }

  /**
   * Writes the graph's `newkv` rows of one sequence.
   * @param newRows `[batch, 2 * blocks * kvHeads, newTokens, headSize]`
   * @param position of the first new row in the sequence
   */
  write(slot: number, position: number, newRows: Float32Array, batchIndex: number, newTokens: number): void {
    const { kvHeads, headSize } = this.shape;
    const floats = newTokens * headSize;
    let source = batchIndex * this.#arrays.length * kvHeads * floats;
    for (const array of this.#arrays) {
      for (let head = slot * kvHeads; head < (slot + 1) * kvHeads; head++) {
        array.set(newRows.subarray(source, source + floats), (head * this.#capacity + position) * headSize);
        source += floats;
      }
    }
  }

  /** Moves `length` rows of one slot to another. */
  move(from: number, to: number, length: number): void {
    const { kvHeads, headSize } = this.shape;
    const stride = this.#capacity * headSize;
    for (const array of this.#arrays) {
      for (let head = 0; head < kvHeads; head++) {
        const start = (from * kvHeads + head) * stride;
        array.copyWithin((to * kvHeads + head) * stride, start, start + length * headSize);
      }
    }
  }

  /** Zeroes a slot. Rows that hold NaN must not stay: masked away they would still spoil the next sequence (0 * NaN is NaN). */
  clear(slot: number): void {
    const slotFloats = this.shape.kvHeads * this.#capacity * this.shape.headSize;
    for (const array of this.#arrays) array.fill(0, slot * slotFloats, (slot + 1) * slotFloats);
  }
}
