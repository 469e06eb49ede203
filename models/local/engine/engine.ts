/** The engine's loop: asks the scheduler for a step, computes it, samples, tells what came out. */
import { WINDOW_TOKENS } from '../convert/add-attention.ts';
import type { ModelConfig } from '../gguf/model-config.ts';
import { type Adapter, loadAdapter } from './adapter.ts';
import type { Decoder } from './decoder.ts';
import { DraftLength, Drafts } from './drafts.ts';
import type { EngineEvent, EngineRequest, RunningRequest } from './engine-request.ts';
import type { Grammars } from './grammar.ts';
import { positionsOfCall } from './group-sequences.ts';
import { type Batch, KvCaches } from './kv-caches.ts';
import { pickTokens } from './pick-tokens.ts';
import { Scheduler, type SchedulerLimits, type Step } from './scheduler.ts';
import { SharedPrefixes } from './shared-prefixes.ts';
import { type StepProfile, StepStopwatch } from './step-profile.ts';
import { collectPromptLogprobs, wantedRows } from './step-rows.ts';

export interface EngineStatus {
  readonly running: number;
  readonly waiting: number;
  readonly kvUsage: number;
  readonly preemptions: number;
  /** Prompt tokens that were looked for in the prefix cache, and those that were found. */
  readonly prefixQueries: number;
  readonly prefixHits: number;
  /** Steps that computed guesses, tokens that were guessed, and those of them that were right. */
  readonly drafts: number;
  readonly draftTokens: number;
  readonly acceptedTokens: number;
}

export interface EngineLimits extends SchedulerLimits {
  /** Memory for prefixes of sequences that have ended. */
  readonly prefixCacheBytes: number;
  /** Tokens that a step guesses at most, see `Drafts`. */
  readonly draftTokens: number;
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
  readonly #caches: KvCaches;
  readonly #scheduler: Scheduler;
  readonly #emit: (event: EngineEvent) => void;
  readonly #onIdle: () => void;
  readonly #requests = new Map<string, RunningRequest>();
  /** Leave the scheduler between steps only: a step that is being computed has its caches fixed. */
  readonly #leaving: RunningRequest[] = [];
  readonly #prefixes: SharedPrefixes;
  readonly #drafts: Drafts;
  readonly #stopwatch = new StepStopwatch();
  #loop: Promise<void> | undefined;

  constructor({ decoder, grammars, config, limits, emit, onIdle }: EngineParts) {
    this.#config = config;
    this.#decoder = decoder;
    this.#grammars = grammars;
    this.#caches = new KvCaches(() => decoder.createPool(limits.slots), positionsOfCall(config));
    this.#scheduler = new Scheduler(limits);
    this.#prefixes = new SharedPrefixes(this.#caches, limits.prefixCacheBytes);
    this.#drafts = new Drafts(limits.draftTokens);
    this.#emit = emit;
    this.#onIdle = onIdle;
  }

  /** Where the time of the steps since the last call went. */
  takeProfile(): StepProfile {
    return this.#stopwatch.take();
  }

  get status(): EngineStatus {
    const { running, waiting, usage, preemptions } = this.#scheduler;
    const { queries, hits } = this.#prefixes;
    return { running, waiting, kvUsage: usage, preemptions, prefixQueries: queries, prefixHits: hits, ...this.#drafts.counts };
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
      draftLength: new DraftLength(),
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
      this.#prefixes.keep(entry);
      this.#scheduler.remove(entry.request.id);
      this.#caches.close(entry.request.id);
    }
    const step = this.#scheduler.next();
    for (const id of this.#scheduler.takePutBack()) this.#caches.close(id);
    return step;
  }

  async #compute(step: Step): Promise<void> {
    this.#stopwatch.begin(step.type);
    if (step.type === 'prefill' && step.from === 0 && this.#openCaches(step.id)) return;
    const batches = step.type === 'prefill' ? [this.#caches.promptBatch(step.id)] : this.#caches.decodeBatches(step.ids);
    // Found before anything is computed: callers may leave meanwhile.
    const parts = batches.map((batch) => ({ batch, running: batch.ids.map((id) => this.#find(id)) }));
    for (const { batch, running } of parts) {
      await this.#computeBatch(step.type === 'prefill' ? step : { type: 'decode', ids: batch.ids }, batch, running);
    }
  }

  async #computeBatch(step: Step, batch: Batch, running: readonly RunningRequest[]): Promise<void> {
    const draft = this.#draftFor(step, running);
    const newTokens = step.type === 'prefill' ? step.count : 1 + draft.length;
    this.#stopwatch.count(running.length * newTokens);
    const sequences = running.map(({ request, tokenIds }) => {
      const cached = this.#caches.length(request.id);
      return { tokenIds: [...tokenIds.slice(cached, cached + newTokens), ...draft], cached };
    });
    for (const entry of running) this.#markStarted(entry, 0);
    const rows = wantedRows(step, running, newTokens);
    this.#stopwatch.lap('caches');
    const { pool, firstSlot } = batch;
    const output = await this.#decoder
      .run({ pool, firstSlot, sequences, rows, adapters: running.map(({ adapter }) => adapter) })
      .catch(() => undefined);
    this.#stopwatch.lap('graph');
    if (output === undefined) {
      for (const id of batch.ids) this.#end({ type: 'failed', id, reason: 'step-failed' });
      return;
    }
    const { logits, newRows } = output;
    this.#scheduler.complete(step);
    const right = await this.#sampleStep(step, running, draft, logits);
    giveBack(logits);
    this.#stopwatch.lap('sample');
    this.#caches.append(batch, newRows, newTokens, newTokens - draft.length + right);
    for (const { request, isSpoilt } of running) if (isSpoilt) this.#caches.clear(request.id);
    giveBack(newRows);
    this.#stopwatch.lap('write');
  }

  /** What to compute beside the next token of a sequence that is the only one to decode. */
  #draftFor(step: Step, running: readonly RunningRequest[]): readonly number[] {
    const [entry] = running;
    if (step.type === 'prefill' || entry === undefined || this.#scheduler.decoding > 1) return [];
    return this.#drafts.propose(entry);
  }

  /** @returns how many tokens of the draft were right. */
  async #sampleStep(step: Step, running: readonly RunningRequest[], draft: readonly number[], logits: Float32Array): Promise<number> {
    const width = this.#decoder.vocabularySize;
    const row = (index: number) => logits.subarray(index * width, (index + 1) * width);
    const [first] = running;
    if (step.type === 'prefill' && first !== undefined) {
      if (collectPromptLogprobs(first, step, row)) {
        this.#emit({ type: 'prompt-logprobs', id: first.request.id, positions: first.promptPositions });
      }
      if (!step.complete) return 0;
      const last = logits.length / width - 1;
      return this.#sample(first, [], () => row(last));
    }
    let right = 0; // a draft is for one sequence alone
    for (const [i, entry] of running.entries()) right = await this.#sample(entry, draft, (after) => row(i + after));
    return right;
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

  /** @returns whether leading windows were known and put into the caches. */
  #openCaches(id: string): boolean {
    const entry = this.#find(id);
    this.#caches.open(id, entry.tokenIds.length);
    const known = this.#prefixes.find(entry, this.#requests.values());
    if (known === undefined) return false;
    this.#caches.restore(id, known.windows, known.read);
    const tokens = known.windows * WINDOW_TOKENS;
    this.#scheduler.skip(id, tokens);
    this.#markStarted(entry, tokens);
    return true;
  }

  /** @returns how many tokens of the draft were right. */
  async #sample(entry: RunningRequest, draft: readonly number[], row: (index: number) => Float32Array): Promise<number> {
    const { id } = entry.request;
    const isCancelled = () => !this.#requests.has(id);
    const { output, failure, right } = await pickTokens(entry, draft, row, this.#grammars, isCancelled);
    this.#drafts.learn(entry, draft.length, right);
    if (isCancelled()) return right;
    if (output !== undefined && output.finish === undefined) {
      this.#scheduler.append(id, right);
      this.#emit(output);
    }
    const last = failure ?? output;
    if (last !== undefined && (last.type === 'failed' || last.finish !== undefined)) this.#end(last);
    return right;
  }

  #end(event: EngineEvent): void {
    if (!this.#requests.has(event.id)) return; // cancelled while it was computed
    this.cancel(event.id);
    this.#emit(event);
  }
}

/** Frees what a step put out, now: outputs lie outside of V8's heap, which would let those of many steps wait for its next collection. */
function giveBack({ buffer }: Float32Array): void {
  if (buffer instanceof ArrayBuffer) buffer.transfer(0);
}
