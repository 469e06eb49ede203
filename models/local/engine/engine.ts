/** The engine's loop: asks the scheduler for a step, computes it, samples, tells what came out. */
import { WINDOW_TOKENS } from '../convert/add-attention.ts';
import type { ModelConfig } from '../gguf/model-config.ts';
import { type Adapter, loadAdapter } from './adapter.ts';
import type { Decoder } from './decoder.ts';
import type { AnswerGrammar, GrammarSpec, Grammars } from './grammar.ts';
import { bucketFor, completeWindows, type KvPool } from './kv-pool.ts';
import { PrefixCache } from './prefix-cache.ts';
import { readLogprobs, type SamplingParameters, sampleToken, type TokenLogprob } from './sampler.ts';
import { Scheduler, type SchedulerLimits, type Step } from './scheduler.ts';
import { type StepProfile, StepStopwatch } from './step-profile.ts';

export interface EngineRequest {
  readonly id: string;
  readonly promptTokenIds: readonly number[];
  readonly maxTokens: number;
  readonly minTokens: number;
  /** The end-of-sequence ids first do not count as a stop reason, the request's own do. */
  readonly endTokenIds: readonly number[];
  readonly stopTokenIds: readonly number[];
  readonly sampling: SamplingParameters;
  /** Alternatives for each sampled token; `undefined` asks for no log-probabilities. */
  readonly logprobs: number | undefined;
  /** Alternatives for each prompt token. */
  readonly promptLogprobs: number | undefined;
  /** Lower runs first. */
  readonly priority: number;
  /** Cached prefixes are shared among requests of one salt only. */
  readonly cacheSalt: string;
  /** Name of a loaded adapter. */
  readonly adapter: string | undefined;
  /** What the answer must be. */
  readonly grammar: GrammarSpec | undefined;
}

export interface PositionLogprobs {
  readonly sampled: TokenLogprob;
  readonly top: readonly TokenLogprob[];
}

interface Finish {
  readonly reason: 'stop' | 'length';
  /** The request's own stop token that ended it; `undefined` for the end of the sequence. */
  readonly stopTokenId: number | undefined;
}

export type EngineEvent =
  | { readonly type: 'started'; readonly id: string; readonly cachedTokens: number }
  /** Log-probabilities of prompt tokens from position 1 on, once the prompt is computed. */
  | { readonly type: 'prompt-logprobs'; readonly id: string; readonly positions: readonly PositionLogprobs[] }
  /** New tokens, and the end if this is it. `logprobs` has an entry for each token, or none when they were not asked for. */
  | {
      readonly type: 'output';
      readonly id: string;
      readonly tokenIds: readonly number[];
      readonly logprobs: readonly PositionLogprobs[];
      readonly finish: Finish | undefined;
    }
  | {
      readonly type: 'failed';
      readonly id: string;
      readonly reason: 'queue-full' | 'unknown-adapter' | 'not-a-number' | 'grammar-stuck' | 'step-failed' | 'engine-gone';
    };

interface RunningRequest {
  readonly request: EngineRequest;
  readonly adapter: Adapter | undefined;
  /** Prefixes are shared within one salt and one adapter. */
  readonly prefixSalt: string;
  /** Prompt and generated ids. */
  readonly tokenIds: number[];
  readonly promptPositions: PositionLogprobs[];
  started: boolean;
  /** Its rows may hold NaN. */
  isSpoilt: boolean;
  /** Begins with the first token. */
  grammar: AnswerGrammar | undefined;
}

export interface EngineStatus {
  readonly running: number;
  readonly waiting: number;
  readonly kvUsage: number;
  readonly preemptions: number;
  /** Prompt tokens that were looked for in the prefix cache, and those that were found. */
  readonly prefixQueries: number;
  readonly prefixHits: number;
}

export interface EngineLimits extends SchedulerLimits {
  /** Memory for prefixes of sequences that have ended. */
  readonly prefixCacheBytes: number;
}

export interface EngineParts {
  readonly decoder: Decoder;
  readonly grammars: Grammars;
  readonly config: ModelConfig;
  readonly limits: EngineLimits;
  readonly emit: (event: EngineEvent) => void;
  /** Nothing is left to do, also when the last requests were cancelled and no event told of them. */
  readonly onIdle: () => void;
}

export class Engine {
  readonly #decoder: Decoder;
  readonly #grammars: Grammars;
  readonly #config: ModelConfig;
  readonly #adapters = new Map<string, Adapter>();
  readonly #pool: KvPool;
  readonly #scheduler: Scheduler;
  readonly #emit: (event: EngineEvent) => void;
  readonly #onIdle: () => void;
  readonly #requests = new Map<string, RunningRequest>();
  /** Leave the scheduler between steps only: a step that is being computed has its slots fixed. */
  readonly #leaving: RunningRequest[] = [];
  readonly #prefixes: PrefixCache;
  readonly #stopwatch = new StepStopwatch();
  #prefixQueries = 0;
  #prefixHits = 0;
  #loop: Promise<void> | undefined;

  constructor({ decoder, grammars, config, limits, emit, onIdle }: EngineParts) {
    this.#config = config;
    this.#decoder = decoder;
    this.#grammars = grammars;
    this.#pool = decoder.createPool(limits.slots + 1); // one more is the scheduler's scratch slot
    this.#scheduler = new Scheduler(limits);
    this.#prefixes = new PrefixCache(limits.prefixCacheBytes);
    this.#emit = emit;
    this.#onIdle = onIdle;
  }

  /** Where the time of the steps since the last call went. */
  takeProfile(): StepProfile {
    return this.#stopwatch.take();
  }

  get status(): EngineStatus {
    const { running, waiting, usage, preemptions } = this.#scheduler;
    return { running, waiting, kvUsage: usage, preemptions, prefixQueries: this.#prefixQueries, prefixHits: this.#prefixHits };
  }

  submit(request: EngineRequest): void {
    const { id, promptTokenIds, priority } = request;
    const adapter = request.adapter === undefined ? undefined : this.#adapters.get(request.adapter);
    if (request.adapter !== undefined && adapter === undefined) {
      this.#emit({ type: 'failed', id, reason: 'unknown-adapter' });
      return;
    }
    if (!this.#scheduler.add({ id, promptTokens: promptTokenIds.length, priority })) {
      this.#emit({ type: 'failed', id, reason: 'queue-full' });
      return;
    }
    this.#requests.set(id, {
      request,
      adapter,
      prefixSalt: JSON.stringify([request.cacheSalt, adapter?.loading ?? null]),
      tokenIds: [...promptTokenIds],
      promptPositions: [],
      started: false,
      isSpoilt: false,
      grammar: undefined,
    });
    this.#loop ??= this.#run().finally(() => {
      this.#loop = undefined;
    });
  }

  /** Loads an adapter under its name, in place of another of that name. Running requests keep the one that they began with. @throws {AdapterError} */
  async loadAdapter(name: string, folder: string): Promise<void> {
    const adapter = await loadAdapter(name, folder, this.#config);
    await this.#decoder.prepareAdapters();
    this.#adapters.set(name, adapter);
  }

  unloadAdapter(name: string): void {
    this.#adapters.delete(name);
  }

  /** Stops a request; no event follows. */
  cancel(id: string): void {
    const entry = this.#requests.get(id);
    if (entry === undefined) return;
    this.#requests.delete(id);
    entry.grammar?.dispose();
    this.#leaving.push(entry);
  }

  /** Cancels everything and resolves when no step is being computed. */
  async stop(): Promise<void> {
    for (const id of [...this.#requests.keys()]) this.cancel(id);
    await this.#loop;
  }

  async #run(): Promise<void> {
    for (let step = this.#nextStep(); step !== undefined; step = this.#nextStep()) await this.#compute(step);
    this.#onIdle();
  }

  #nextStep(): Step | undefined {
    for (const entry of this.#leaving.splice(0)) {
      this.#keepPrefix(entry);
      this.#scheduler.remove(entry.request.id);
      this.#carryOutMoves();
    }
    return this.#scheduler.next();
  }

  async #compute(step: Step): Promise<void> {
    this.#stopwatch.begin(step.type, step.type === 'prefill' ? step.count : step.ids.length);
    this.#carryOutMoves();
    if (step.type === 'prefill' && step.from === 0 && this.#restorePrefix(step.id, step.slot)) return;
    const ids = step.type === 'prefill' ? [step.id] : step.ids;
    const running = ids.map((id) => this.#find(id));
    const firstSlot = step.type === 'prefill' ? step.slot : 0;
    const lengths = this.#scheduler.slots.map(({ computed }) => computed);
    const newTokens = step.type === 'prefill' ? step.count : 1;
    this.#makeRoom(lengths, 0);
    const sequences = running.map(({ tokenIds }, i) => {
      const cached = lengths[firstSlot + i] ?? 0;
      return { tokenIds: tokenIds.slice(cached, cached + newTokens), cached };
    });
    for (const entry of running) this.#markStarted(entry, 0);
    const rows = this.#wantedRows(step, running);
    this.#stopwatch.lap('caches');
    const output = await this.#decoder
      .run({ pool: this.#pool, firstSlot, sequences, rows, adapters: running.map(({ adapter }) => adapter) })
      .catch(() => undefined);
    this.#stopwatch.lap('graph');
    if (output === undefined) {
      for (const id of ids) this.#end({ type: 'failed', id, reason: 'step-failed' });
      return;
    }
    const { logits, newRows } = output;
    this.#makeRoom(lengths, newTokens); // after the step, which should not pay for windows that it only completes
    for (const [i, { cached }] of sequences.entries()) this.#pool.write(firstSlot + i, cached, newRows, i, newTokens);
    this.#scheduler.complete(step);
    this.#stopwatch.lap('write');
    await this.#sampleStep(step, running, firstSlot, rows, logits);
    this.#stopwatch.lap('sample');
  }

  async #sampleStep(
    step: Step,
    running: readonly RunningRequest[],
    firstSlot: number,
    rows: readonly number[],
    logits: Float32Array,
  ): Promise<void> {
    const row = (index: number) => logits.subarray(index * this.#decoder.vocabularySize, (index + 1) * this.#decoder.vocabularySize);
    if (step.type === 'decode') {
      for (const [i, entry] of running.entries()) await this.#sample(entry, row(i), i);
      return;
    }
    const [entry] = running;
    if (entry === undefined) return;
    this.#collectPromptLogprobs(entry, step, row);
    if (step.complete) await this.#sample(entry, row(rows.length - 1), firstSlot);
  }

  #find(id: string): RunningRequest {
    const found = this.#requests.get(id);
    if (found === undefined) throw new Error(`the scheduler runs the unknown request ${id}`);
    return found;
  }

  #markStarted(entry: RunningRequest, cachedTokens: number): void {
    if (entry.started) return;
    entry.started = true;
    this.#emit({ type: 'started', id: entry.request.id, cachedTokens });
  }

  #carryOutMoves(): void {
    for (const { from, to, length } of this.#scheduler.takeMoves()) this.#pool.move(from, to, length);
  }

  /** Before a sequence leaves: its complete windows stay for prompts that begin alike. */
  #keepPrefix({ request, prefixSalt, tokenIds, isSpoilt }: RunningRequest): void {
    const slot = this.#scheduler.slots.findIndex(({ id }) => id === request.id);
    const computed = this.#scheduler.slots[slot]?.computed ?? 0;
    if (isSpoilt) return;
    this.#prefixes.insert(prefixSalt, tokenIds, completeWindows(computed) / WINDOW_TOKENS, (window) => this.#pool.readWindow(slot, window));
  }

  /** @returns whether leading windows were put into the slot, from the cache or from a sequence that runs. */
  #restorePrefix(id: string, slot: number): boolean {
    const entry = this.#find(id);
    const { request, prefixSalt, tokenIds } = entry;
    this.#pool.open(slot);
    if (request.promptLogprobs !== undefined) return false; // every row is wanted
    const kept = this.#prefixes.find(prefixSalt, tokenIds);
    const running = this.#longestRunning(entry, slot);
    const windows = Math.max(kept.length, running.windows);
    this.#prefixQueries += tokenIds.length;
    this.#prefixHits += windows * WINDOW_TOKENS;
    if (windows === 0) return false;
    this.#makeRoom(
      this.#scheduler.slots.map(({ computed }) => computed),
      windows * WINDOW_TOKENS,
    );
    for (let window = 0; window < windows; window++) {
      const rows = running.windows === windows ? this.#pool.readWindow(running.slot, window) : kept[window];
      if (rows !== undefined) this.#pool.writeWindow(slot, window, rows);
    }
    this.#scheduler.skip(id, windows * WINDOW_TOKENS);
    this.#markStarted(entry, windows * WINDOW_TOKENS);
    return true;
  }

  #longestRunning({ prefixSalt, tokenIds }: RunningRequest, ownSlot: number): { slot: number; windows: number } {
    let best = { slot: -1, windows: 0 };
    for (const [slot, { id, computed }] of this.#scheduler.slots.entries()) {
      const other = this.#requests.get(id);
      if (slot === ownSlot || other === undefined || other.prefixSalt !== prefixSalt) continue;
      const most = Math.min(computed, tokenIds.length - 1);
      let equal = 0;
      while (equal < most && tokenIds[equal] === other.tokenIds[equal]) equal++;
      const windows = completeWindows(equal) / WINDOW_TOKENS;
      if (windows > best.windows) best = { slot, windows };
    }
    return best;
  }

  #wantedRows(step: Step, running: readonly RunningRequest[]): number[] {
    if (step.type === 'decode') return [...running.keys()];
    if (running[0]?.request.promptLogprobs !== undefined) return Array.from({ length: step.count }, (_, i) => i);
    return step.complete ? [step.count - 1] : [];
  }

  #collectPromptLogprobs({ request, tokenIds, promptPositions }: RunningRequest, step: Step, row: (index: number) => Float32Array): void {
    if (step.type !== 'prefill' || request.promptLogprobs === undefined) return;
    // Row i scores the token after it. After a preemption rows come again: positions that are known are passed over.
    for (let i = 0; i < step.count; i++) {
      const position = step.from + i + 1;
      if (position > request.promptTokenIds.length - 1 || position - 1 < promptPositions.length) continue;
      promptPositions.push(readLogprobs(row(i), tokenIds[position] ?? 0, request.promptLogprobs));
    }
    if (step.complete && tokenIds.length === request.promptTokenIds.length) {
      this.#emit({ type: 'prompt-logprobs', id: request.id, positions: promptPositions });
    }
  }

  async #sample(entry: RunningRequest, row: Float32Array, slot: number): Promise<void> {
    const { request, tokenIds } = entry;
    const { id, sampling, endTokenIds, stopTokenIds, minTokens, maxTokens } = request;
    if (!this.#requests.has(id)) return; // cancelled while it was computed
    if (Number.isNaN(row[0])) {
      this.#pool.clear(slot);
      entry.isSpoilt = true;
      this.#end({ type: 'failed', id, reason: 'not-a-number' });
      return;
    }
    const generated = tokenIds.length - request.promptTokenIds.length;
    if (maxTokens === 0) {
      this.#end({ type: 'output', id, tokenIds: [], logprobs: [], finish: { reason: 'length', stopTokenId: undefined } });
      return;
    }
    const original = request.logprobs === undefined ? row : row.slice();
    if (request.grammar !== undefined) {
      entry.grammar ??= await this.#grammars.begin(request.grammar);
      const hasToken = await entry.grammar.mask(row);
      if (!this.#requests.has(id)) return; // cancelled while it was masked
      if (!hasToken) {
        this.#end({ type: 'failed', id, reason: 'grammar-stuck' });
        return;
      }
    }
    // Under a grammar the end is allowed exactly where the answer is complete.
    const banned = generated < minTokens && request.grammar === undefined ? [...endTokenIds, ...stopTokenIds] : [];
    const tokenId = sampleToken(row, sampling, tokenIds, request.promptTokenIds.length, banned);
    if (row[tokenId] === Number.NEGATIVE_INFINITY) {
      this.#end({ type: 'failed', id, reason: 'grammar-stuck' }); // allowed tokens and grammar have none in common
      return;
    }
    tokenIds.push(tokenId);
    const isComplete = entry.grammar?.accept(tokenId) === true;
    const logprobs = request.logprobs === undefined ? [] : [readLogprobs(original, tokenId, request.logprobs)];
    const finish = isComplete ? END_OF_SEQUENCE : findFinish(request, tokenId, generated + 1);
    const event: EngineEvent = { type: 'output', id, tokenIds: [tokenId], logprobs, finish };
    if (finish !== undefined) {
      this.#end(event);
      return;
    }
    this.#scheduler.append(id);
    this.#emit(event);
  }

  #end(event: EngineEvent): void {
    if (!this.#requests.has(event.id)) return; // cancelled while it was computed
    this.cancel(event.id);
    this.#emit(event);
  }

  /** Caches follow the longest running sequence up at once, and down when it is gone. */
  #makeRoom(lengths: readonly number[], newTokens: number): void {
    const needed = bucketFor(completeWindows(Math.max(...lengths) + newTokens));
    if (needed > this.#pool.capacity || needed <= this.#pool.capacity / 2) this.#pool.resize(needed, lengths);
  }
}

const END_OF_SEQUENCE: Finish = { reason: 'stop', stopTokenId: undefined };

function findFinish({ endTokenIds, stopTokenIds, maxTokens }: EngineRequest, tokenId: number, generated: number): Finish | undefined {
  if (endTokenIds.includes(tokenId)) return END_OF_SEQUENCE;
  if (stopTokenIds.includes(tokenId)) return { reason: 'stop', stopTokenId: tokenId };
  return generated >= maxTokens ? { reason: 'length', stopTokenId: undefined } : undefined;
}
