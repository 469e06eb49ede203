/**
 * Keys and values of sequences that are computed together, laid out as the graph takes them: for each block `[slots, kvHeads, capacity, headSize]` of
 * complete windows and `[slots, kvHeads, 64, headSize]` of the window that is being filled, so that the first b slots are one contiguous
 * tensor without a copy. `capacity` is a bucket just above the longest of them: attention costs what is laid out, not what is
 * allowed. Memory that no row was written to stays untouched zero pages.
 *
 * A complete window is kept as float16, half the memory, unless the graph is the exact one. A window is rounded once, when its last
 * position is known, so that every later token sees the same values however the sequence was cut into steps.
 */
import { Tensor } from 'onnxruntime-node';
import { WINDOW_TOKENS } from '../convert/add-attention.ts';

export interface KvShape {
  readonly blocks: number;
  readonly kvHeads: number;
  readonly headSize: number;
}

/** How complete windows are kept. */
export type CacheType = 'float32' | 'float16';
/** float16 values are moved as bits. */
type CacheRows = Float32Array<ArrayBuffer> | Uint16Array<ArrayBuffer>;

/** Positions to lay out for complete windows of `length` positions: steps of 64 up to 512, then of an eighth of the power of two above. */
export function bucketFor(length: number): number {
  if (length <= 512) return Math.ceil(length / WINDOW_TOKENS) * WINDOW_TOKENS;
  const step = 2 ** Math.ceil(Math.log2(length)) / 8;
  return Math.ceil(length / step) * step;
}

/** Positions of complete windows. */
export function completeWindows(length: number): number {
  return length - (length % WINDOW_TOKENS);
}

export class KvPool {
  readonly shape: KvShape;
  readonly slots: number;
  readonly cacheType: CacheType;
  #capacity = 0;
  /** Key and value of block 0, of block 1, and so on. */
  #past: CacheRows[];
  readonly #window: readonly Float32Array<ArrayBuffer>[];

  constructor(shape: KvShape, slots: number, cacheType: CacheType) {
    this.shape = shape;
    this.slots = slots;
    this.cacheType = cacheType;
    this.#past = Array.from({ length: 2 * shape.blocks }, () => this.#allocate(0));
    const windowFloats = slots * shape.kvHeads * WINDOW_TOKENS * shape.headSize;
    this.#window = this.#past.map(() => new Float32Array(windowFloats));
  }

  get capacity(): number {
    return this.#capacity;
  }

  /** Lays the pool out for another capacity, keeping what slots of these lengths hold. */
  resize(capacity: number, lengths: readonly number[]): void {
    if (capacity === this.#capacity) return;
    const { kvHeads, headSize } = this.shape;
    const from = this.#capacity * headSize;
    const to = capacity * headSize;
    this.#past = this.#past.map((old) => {
      const fresh = this.#allocate(this.slots * kvHeads * to);
      for (const [slot, length] of lengths.entries()) {
        const floats = completeWindows(length) * headSize;
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
  tensors(first: number, count: number): { past: Tensor[]; window: Tensor[] } {
    const { kvHeads, headSize } = this.shape;
    const view = (array: CacheRows | Float32Array, positions: number) => {
      const floats = kvHeads * positions * headSize;
      const rows = array.subarray(first * floats, (first + count) * floats);
      const dimensions = [count, kvHeads, positions, headSize];
      return rows instanceof Float32Array ? new Tensor('float32', rows, dimensions) : halfTensor(rows, dimensions);
    };
    return {
      past: this.#past.map((array) => view(array, this.#capacity)),
      window: this.#window.map((array) => view(array, WINDOW_TOKENS)),
    };
  }

  /**
   * Writes the graph's `newkv` rows of one sequence; they lie in one window.
   * @param newRows `[batch, 2 * blocks * kvHeads, newTokens, headSize]`
   * @param position of the first new row in the sequence
   * @param kept how many of the new tokens stay
   */
  write(slot: number, position: number, newRows: Float32Array, batchIndex: number, newTokens: number, kept = newTokens): void {
    const { kvHeads, headSize } = this.shape;
    const floats = newTokens * headSize;
    const offset = (position % WINDOW_TOKENS) * headSize;
    let source = batchIndex * this.#window.length * kvHeads * floats;
    for (const array of this.#window) {
      for (let head = slot * kvHeads; head < (slot + 1) * kvHeads; head++, source += floats) {
        const target = head * WINDOW_TOKENS * headSize + offset;
        // One token's row of a head is so short that a call of `set` would cost more than the copy.
        if (newTokens === 1) for (let i = 0; i < floats; i++) array[target + i] = newRows[source + i] as number;
        else array.set(newRows.subarray(source, source + kept * headSize), target);
      }
    }
    if ((position + kept) % WINDOW_TOKENS === 0) this.#completeWindow(slot, completeWindows(position));
  }

  /** Copies what a slot of a pool, this one or another, holds of `length` positions. */
  copy(source: KvPool, from: number, to: number, length: number): void {
    if (source === this && from === to) return;
    const rows = source.#rowsOf(from, length);
    for (const [i, target] of this.#rowsOf(to, length).entries()) target.set(rows[i] ?? []);
  }

  /** Exchanges what two slots hold of `length` positions. */
  swap(one: number, other: number, length: number): void {
    const others = this.#rowsOf(other, length);
    for (const [i, rows] of this.#rowsOf(one, length).entries()) {
      const kept = rows.slice();
      rows.set(others[i] ?? []);
      others[i]?.set(kept);
    }
  }

  /** A copy of one complete window of a slot: `[2 * blocks, kvHeads, 64, headSize]`. */
  readWindow(slot: number, window: number): CacheRows {
    const { kvHeads, headSize } = this.shape;
    const floats = WINDOW_TOKENS * headSize;
    const rows = this.#allocate(this.#past.length * kvHeads * floats);
    let target = 0;
    for (const array of this.#past) {
      for (let head = slot * kvHeads; head < (slot + 1) * kvHeads; head++, target += floats) {
        const start = (head * this.#capacity + window * WINDOW_TOKENS) * headSize;
        rows.set(array.subarray(start, start + floats), target);
      }
    }
    return rows;
  }

  /** Puts back what `readWindow` gave. */
  writeWindow(slot: number, window: number, rows: Float32Array | Uint16Array): void {
    const { kvHeads, headSize } = this.shape;
    const floats = WINDOW_TOKENS * headSize;
    let source = 0;
    for (const array of this.#past) {
      for (let head = slot * kvHeads; head < (slot + 1) * kvHeads; head++, source += floats) {
        array.set(rows.subarray(source, source + floats), (head * this.#capacity + window * WINDOW_TOKENS) * headSize);
      }
    }
  }

  /** Makes a slot ready for a new sequence: its window is added to, so it begins with zeros. */
  open(slot: number): void {
    this.#fillSlot(this.#window, slot, WINDOW_TOKENS);
  }

  /** Zeroes a slot. Rows that hold NaN must not stay: masked away they would still spoil the next sequence (0 * NaN is NaN). */
  clear(slot: number): void {
    this.#fillSlot(this.#window, slot, WINDOW_TOKENS);
    this.#fillSlot(this.#past, slot, this.#capacity);
  }

  /** Gives the memory back. The pool is not used again. */
  release(): void {
    for (const { buffer } of [...this.#past, ...this.#window]) buffer.transfer(0);
  }

  /** What lies side by side: the complete windows of each head of a slot, then its running windows. */
  #rowsOf(slot: number, length: number): (CacheRows | Float32Array)[] {
    const { kvHeads, headSize } = this.shape;
    const heads = Array.from({ length: kvHeads }, (_, head) => slot * kvHeads + head);
    const of = (array: CacheRows | Float32Array, stride: number, positions: number) =>
      heads.map((head) => array.subarray(head * stride * headSize, (head * stride + positions) * headSize));
    return [
      ...this.#past.flatMap((array) => of(array, this.#capacity, completeWindows(length))),
      ...this.#window.flatMap((array) => of(array, WINDOW_TOKENS, WINDOW_TOKENS)),
    ];
  }

  #fillSlot(arrays: readonly (CacheRows | Float32Array)[], slot: number, positions: number): void {
    const floats = this.shape.kvHeads * positions * this.shape.headSize;
    for (const array of arrays) array.fill(0, slot * floats, (slot + 1) * floats);
  }

  /** The window joins the past, and the next one begins with zeros. */
  #completeWindow(slot: number, position: number): void {
    const { kvHeads, headSize } = this.shape;
    const floats = WINDOW_TOKENS * headSize;
    if (position + WINDOW_TOKENS > this.#capacity) throw new Error(`no room for position ${position} in a pool of ${this.#capacity}`);
    for (const [i, past] of this.#past.entries()) {
      const window = this.#window[i];
      if (window === undefined) continue;
      const array = past instanceof Float32Array ? past : new Float16Array(past.buffer);
      for (let head = slot * kvHeads; head < (slot + 1) * kvHeads; head++) {
        array.set(window.subarray(head * floats, (head + 1) * floats), (head * this.#capacity + position) * headSize);
      }
    }
    this.#fillSlot(this.#window, slot, WINDOW_TOKENS);
  }

  #allocate(length: number): CacheRows {
    return this.cacheType === 'float32' ? new Float32Array(length) : new Uint16Array(length);
  }
}

/** The binding (1.30) finds no bytes in the `Float16Array` that a float16 tensor holds on Node 24; the same bits as uint16 it can read. */
function halfTensor(bits: Uint16Array, dimensions: readonly number[]): Tensor {
  return Object.assign(new Tensor('uint16', bits, dimensions), { type: 'float16' as const });
}
