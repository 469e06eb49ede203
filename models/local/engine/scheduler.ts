/**
 * Decides what the next step computes: a chunk of one prompt, or one token of every decoding sequence. A pure state machine: it knows
 * lengths, neither tokens nor the model nor where caches lie, so that its laws are tested by themselves.
 *
 * - Prefill and decode take turns, and prompts take turns chunk by chunk: a long prompt stalls neither running streams nor short prompts.
 * - Memory is counted in pages. A sequence is admitted when its whole length fits; when a growing one finds no page, the lowest ranked
 *   running sequence is put back into the queue and computed again later (vLLM's preemption by recomputation).
 * - Rank is priority, then arrival. A waiting request that was overtaken `MAX_OVERTAKEN` times goes first, so that none starves.
 */
import { WINDOW_TOKENS } from '../convert/add-attention.ts';

export interface SchedulerLimits {
  /** Sequences that run at once. */
  readonly slots: number;
  /** Requests that wait at most. */
  readonly maxQueue: number;
  /** Positions that caches hold in all; at least the longest sequence. */
  readonly kvTokens: number;
  /** Prompt tokens of one step. */
  readonly prefillChunk: number;
}

export type Step =
  /** Computes `count` tokens from position `from`; `complete` when the sequence's last known token is among them. */
  | {
      readonly type: 'prefill';
      readonly id: string;
      readonly from: number;
      readonly count: number;
      readonly complete: boolean;
    }
  /** Computes the last token of each, and maybe guesses after it that fit into its page. */
  | { readonly type: 'decode'; readonly ids: readonly string[] };

interface Sequence {
  readonly id: string;
  readonly priority: number;
  readonly arrival: number;
  /** Known tokens: the prompt and what was generated. */
  length: number;
  /** How many of them the cache holds. */
  computed: number;
  overtaken: number;
  /** The step that served it last. */
  served: number;
}

export const PAGE_TOKENS = WINDOW_TOKENS;
const MAX_OVERTAKEN = 64;

export class Scheduler {
  readonly limits: SchedulerLimits;
  #waiting: Sequence[] = [];
  #decoding: Sequence[] = [];
  #prefilling: Sequence[] = [];
  readonly #putBack: string[] = [];
  #arrivals = 0;
  #steps = 0;
  #lastType: Step['type'] = 'decode';
  #preemptions = 0;

  constructor(limits: SchedulerLimits) {
    this.limits = limits;
  }

  get running(): number {
    return this.#decoding.length + this.#prefilling.length;
  }

  /** Sequences that a decode step computes. */
  get decoding(): number {
    return this.#decoding.length;
  }

  get waiting(): number {
    return this.#waiting.length;
  }

  get preemptions(): number {
    return this.#preemptions;
  }

  /** Share of the cache's pages that running sequences hold, 0 to 1. */
  get usage(): number {
    return this.#usedPages() / this.#pageLimit();
  }

  /** Sequences that were put back into the queue since this was last asked: when they run again they begin anew. */
  takePutBack(): string[] {
    return this.#putBack.splice(0);
  }

  /** @returns false when the queue is full; the request is not taken then. */
  add(request: { readonly id: string; readonly promptTokens: number; readonly priority: number }): boolean {
    const startsAtOnce = this.#waiting.length === 0 && this.running < this.limits.slots;
    if (this.#waiting.length >= this.limits.maxQueue && !startsAtOnce) return false;
    const { id, promptTokens, priority } = request;
    this.#waiting.push({ id, priority, arrival: this.#arrivals++, length: promptTokens, computed: 0, overtaken: 0, served: 0 });
    return true;
  }

  /** Ends a sequence, running or waiting. Unknown ids are ignored: the end of a sequence and its cancellation may cross. */
  remove(id: string): void {
    this.#waiting = this.#waiting.filter((sequence) => sequence.id !== id);
    this.#release(id);
  }

  /** The next step, or `undefined` when nothing is to do. Must be followed by `complete` before it is asked again. */
  next(): Step | undefined {
    this.#reclaim();
    this.#admit();
    this.#steps++;
    const prefillFirst = this.#lastType === 'decode' || this.#decoding.length === 0;
    const step = (prefillFirst ? this.#planPrefill() : undefined) ?? this.#planDecode() ?? this.#planPrefill();
    if (step !== undefined) this.#lastType = step.type;
    return step;
  }

  /** Says that the step's tokens are in the cache. */
  complete(step: Step): void {
    if (step.type === 'prefill') {
      const sequence = this.#prefilling.find(({ id }) => id === step.id);
      if (sequence !== undefined) sequence.computed += step.count;
      return;
    }
    for (const sequence of this.#decoding) if (step.ids.includes(sequence.id)) sequence.computed++;
  }

  /** Says that the cache holds the first `count` tokens of a sequence already, whose prefill was about to begin. */
  skip(id: string, count: number): void {
    const sequence = this.#prefilling.find((candidate) => candidate.id === id);
    if (sequence === undefined) return;
    sequence.computed = count;
    sequence.served = 0;
    this.#lastType = 'decode'; // it has not had its turn
  }

  /** Says that a token was sampled for a sequence whose known tokens are all computed, after `drafted` others that were computed beside the last. */
  append(id: string, drafted = 0): void {
    const sequence = this.#running().find((candidate) => candidate.id === id);
    if (sequence === undefined) return;
    sequence.length += drafted + 1;
    sequence.computed += drafted;
    const index = this.#prefilling.indexOf(sequence);
    if (index < 0) return;
    this.#prefilling.splice(index, 1);
    this.#decoding.push(sequence);
  }

  #running(): Sequence[] {
    return [...this.#decoding, ...this.#prefilling];
  }

  #admit(): void {
    while (this.running < this.limits.slots) {
      const [best] = this.#waiting.toSorted(compareWaiting);
      if (best === undefined) return;
      // Nothing behind it is tried: a long request at the head would starve if short ones slipped past.
      if (this.#usedPages() + pagesFor(best.length + 1) > this.#pageLimit()) return;
      this.#waiting.splice(this.#waiting.indexOf(best), 1);
      for (const other of this.#waiting) if (other.arrival < best.arrival) other.overtaken++;
      best.served = this.#steps;
      this.#prefilling.push(best);
    }
  }

  #planPrefill(): Step | undefined {
    const [sequence] = this.#prefilling.toSorted((a, b) => a.served - b.served || a.arrival - b.arrival);
    if (sequence === undefined) return undefined;
    sequence.served = this.#steps;
    const from = sequence.computed;
    // A step stays within one page, which is the window of the graph.
    const count = Math.min(this.limits.prefillChunk, PAGE_TOKENS - (from % PAGE_TOKENS), sequence.length - from);
    return { type: 'prefill', id: sequence.id, from, count, complete: from + count === sequence.length };
  }

  #planDecode(): Step | undefined {
    return this.#decoding.length === 0 ? undefined : { type: 'decode', ids: this.#decoding.map(({ id }) => id) };
  }

  /** Each running sequence has a page for its next position, or else the lowest ranked ones give way. */
  #reclaim(): void {
    while (this.#usedPages() > this.#pageLimit()) {
      const victim = this.#running().toSorted(compareRank).at(-1);
      if (victim === undefined) return;
      this.#release(victim.id);
      victim.computed = 0;
      this.#waiting.push(victim);
      this.#putBack.push(victim.id);
      this.#preemptions++;
    }
  }

  #usedPages(): number {
    return this.#running().reduce((sum, { length }) => sum + pagesFor(length + 1), 0);
  }

  #pageLimit(): number {
    return Math.floor(this.limits.kvTokens / PAGE_TOKENS);
  }

  #release(id: string): void {
    const others = (sequence: Sequence) => sequence.id !== id;
    this.#decoding = this.#decoding.filter(others);
    this.#prefilling = this.#prefilling.filter(others);
  }
}

function pagesFor(tokens: number): number {
  return Math.ceil(tokens / PAGE_TOKENS);
}

function compareRank(a: Sequence, b: Sequence): number {
  return a.priority - b.priority || a.arrival - b.arrival;
}

function compareWaiting(a: Sequence, b: Sequence): number {
  const starved = Number(b.overtaken >= MAX_OVERTAKEN) - Number(a.overtaken >= MAX_OVERTAKEN);
  return starved || compareRank(a, b);
}
