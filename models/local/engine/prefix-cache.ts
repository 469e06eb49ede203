/**
 * Keys and values of sequences that have ended, kept for prompts that begin alike. A block is one complete window; it is found by its
 * parent block, its token ids and, for the first, the salt: equality of the ids themselves, not of a hash. The least recently used blocks
 * go first when memory is full, the end of a chain before its beginning.
 */
import { WINDOW_TOKENS } from '../convert/add-attention.ts';

/** Rows of one window, as `KvPool.readWindow` gives them. */
export type WindowRows = Float32Array | Uint16Array;

interface Block {
  readonly id: number;
  readonly rows: WindowRows;
}

export class PrefixCache {
  readonly #maxBytes: number;
  /** In order of use, the oldest first. */
  readonly #blocks = new Map<string, Block>();
  #bytes = 0;
  #created = 0;

  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
  }

  get bytes(): number {
    return this.#bytes;
  }

  /** Rows of the leading windows that are known, to be read before the next `insert`. At least one token is left for the model to compute. */
  find(salt: string, tokenIds: readonly number[]): WindowRows[] {
    const found: [string, Block][] = [];
    let parent = rootOf(salt);
    for (let end = WINDOW_TOKENS; end < tokenIds.length; end += WINDOW_TOKENS) {
      const key = keyOf(parent, tokenIds, end);
      const block = this.#blocks.get(key);
      if (block === undefined) break;
      found.push([key, block]);
      parent = `${block.id}`;
    }
    this.#touch(found);
    return found.map(([, { rows }]) => rows);
  }

  /** Keeps the leading `windows` of a sequence. `read` gives the rows of those that are not known yet. */
  insert(salt: string, tokenIds: readonly number[], windows: number, read: (window: number) => WindowRows): void {
    const chain: [string, Block][] = [];
    let parent = rootOf(salt);
    let room = this.#maxBytes;
    for (let window = 0; window < windows; window++) {
      const key = keyOf(parent, tokenIds, (window + 1) * WINDOW_TOKENS);
      const block = this.#blocks.get(key) ?? { id: this.#created++, rows: read(window) };
      room -= block.rows.byteLength;
      if (room < 0) break; // one sequence alone fills the memory: its beginning is worth the most
      if (!this.#blocks.has(key)) {
        this.#blocks.set(key, block);
        this.#bytes += block.rows.byteLength;
      }
      chain.push([key, block]);
      parent = `${block.id}`;
    }
    this.#touch(chain);
    for (const [key, { rows }] of this.#blocks) {
      if (this.#bytes <= this.#maxBytes) return;
      this.#blocks.delete(key);
      this.#bytes -= rows.byteLength;
      if (rows.buffer instanceof ArrayBuffer) rows.buffer.transfer(0); // gives the memory back now instead of at the next collection
    }
  }

  #touch(chain: readonly [string, Block][]): void {
    for (const [key, block] of chain.toReversed()) {
      this.#blocks.delete(key);
      this.#blocks.set(key, block);
    }
  }
}

/** Cannot be the id of a block, whatever the salt says. */
function rootOf(salt: string): string {
  return `salt ${JSON.stringify(salt)}`;
}

function keyOf(parent: string, tokenIds: readonly number[], end: number): string {
  return `${parent}:${tokenIds.slice(end - WINDOW_TOKENS, end).join()}`;
}
