import { WINDOW_TOKENS } from '../convert/add-attention.ts';
import type { RunningRequest } from './engine-request.ts';
import type { KvCaches } from './kv-caches.ts';
import { completeWindows } from './kv-pool.ts';
import { PrefixCache, type WindowRows } from './prefix-cache.ts';

/** Leading windows of a prompt whose keys and values are known. */
export interface KnownPrefix {
  readonly windows: number;
  readonly read: (window: number) => WindowRows;
}

/** Keys and values that prompts have in common with sequences that run, or that have ended and are kept in the prefix cache. */
export class SharedPrefixes {
  readonly #caches: KvCaches;
  readonly #cache: PrefixCache;
  #queries = 0;
  #hits = 0;

  constructor(caches: KvCaches, maxBytes: number) {
    this.#caches = caches;
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

  /** Before the caches of a sequence are closed: its complete windows stay. */
  keep({ request: { id }, prefixSalt, tokenIds, isSpoilt }: RunningRequest): void {
    if (isSpoilt) return;
    const windows = completeWindows(this.#caches.length(id)) / WINDOW_TOKENS;
    this.#cache.insert(prefixSalt, tokenIds, windows, (window) => this.#caches.readWindow(id, window));
  }

  /** @returns the longest known beginning, or `undefined` when not even one window is known or every row of the prompt is wanted. */
  find(entry: RunningRequest, others: Iterable<RunningRequest>): KnownPrefix | undefined {
    const { request, prefixSalt, tokenIds } = entry;
    if (request.promptLogprobs !== undefined) return undefined;
    const kept = this.#cache.find(prefixSalt, tokenIds);
    const running = this.#longestOf(entry, others);
    const windows = Math.max(kept.length, running.windows);
    this.#queries += tokenIds.length;
    this.#hits += windows * WINDOW_TOKENS;
    if (windows === 0) return undefined;
    return {
      windows,
      read: running.windows === windows ? (window) => this.#caches.readWindow(running.id, window) : (window) => kept[window] as WindowRows, // all are known
    };
  }

  /** Of the sequences that run, the one that begins most alike. */
  #longestOf({ request, prefixSalt, tokenIds }: RunningRequest, others: Iterable<RunningRequest>): { id: string; windows: number } {
    let best = { id: '', windows: 0 };
    for (const other of others) {
      const { id } = other.request;
      if (id === request.id || other.prefixSalt !== prefixSalt) continue;
      const most = Math.min(this.#caches.length(id), tokenIds.length - 1);
      let equal = 0;
      while (equal < most && tokenIds[equal] === other.tokenIds[equal]) equal++;
      const windows = completeWindows(equal) / WINDOW_TOKENS;
      if (windows > best.windows) best = { id, windows };
    }
    return best;
  }
}
