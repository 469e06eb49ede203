import { WINDOW_TOKENS } from '../convert/add-attention.ts';
import type { RunningRequest } from './engine-request.ts';
import { completeWindows, type KvPool } from './kv-pool.ts';
import { PrefixCache, type WindowRows } from './prefix-cache.ts';

/** A sequence that holds a slot. */
export interface SlotHolder {
  readonly entry: RunningRequest;
  readonly slot: number;
  /** Positions that its caches hold. */
  readonly computed: number;
}

/** Leading windows of a prompt whose keys and values are known. */
export interface KnownPrefix {
  readonly windows: number;
  readonly read: (window: number) => WindowRows | undefined;
}

/** Keys and values that prompts have in common with sequences that run, or that have ended and are kept in the prefix cache. */
export class SharedPrefixes {
  readonly #pool: KvPool;
  readonly #cache: PrefixCache;
  #queries = 0;
  #hits = 0;

  constructor(pool: KvPool, maxBytes: number) {
    this.#pool = pool;
    this.#cache = new PrefixCache(maxBytes);
  }

  /** Prompt tokens that were looked for. */
  get queries(): number {
    return this.#queries;
  }

  /** Those of them that were found. */
  get hits(): number {
    return this.#hits;
  }

  /** Before a sequence leaves its slot: its complete windows stay. */
  keep({ prefixSalt, tokenIds, isSpoilt }: RunningRequest, slot: number, computed: number): void {
    if (isSpoilt) return;
    this.#cache.insert(prefixSalt, tokenIds, completeWindows(computed) / WINDOW_TOKENS, (window) => this.#pool.readWindow(slot, window));
  }

  /** @returns the longest known beginning, or `undefined` when not even one window is known or every row of the prompt is wanted. */
  find(entry: RunningRequest, others: readonly SlotHolder[]): KnownPrefix | undefined {
    const { request, prefixSalt, tokenIds } = entry;
    if (request.promptLogprobs !== undefined) return undefined;
    const kept = this.#cache.find(prefixSalt, tokenIds);
    const running = longestOf(entry, others);
    const windows = Math.max(kept.length, running.windows);
    this.#queries += tokenIds.length;
    this.#hits += windows * WINDOW_TOKENS;
    if (windows === 0) return undefined;
    return {
      windows,
      read: running.windows === windows ? (window) => this.#pool.readWindow(running.slot, window) : (window) => kept[window],
    };
  }

  /** Writes a known beginning into a slot, for which the pool must have room. */
  restore({ windows, read }: KnownPrefix, slot: number): void {
    for (let window = 0; window < windows; window++) {
      const rows = read(window);
      if (rows !== undefined) this.#pool.writeWindow(slot, window, rows);
    }
  }
}

function longestOf({ prefixSalt, tokenIds }: RunningRequest, others: readonly SlotHolder[]): { slot: number; windows: number } {
  let best = { slot: -1, windows: 0 };
  for (const { entry: other, slot, computed } of others) {
    if (other.prefixSalt !== prefixSalt) continue;
    const most = Math.min(computed, tokenIds.length - 1);
    let equal = 0;
    while (equal < most && tokenIds[equal] === other.tokenIds[equal]) equal++;
    const windows = completeWindows(equal) / WINDOW_TOKENS;
    if (windows > best.windows) best = { slot, windows };
  }
  return best;
}
