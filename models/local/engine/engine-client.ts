import { once } from 'node:events';
import { Worker } from 'node:worker_threads';
import type { EngineStatus } from './engine.ts';
import type { EngineEvent, EngineRequest } from './engine-request.ts';
import type { GrammarSpec } from './grammar.ts';
import type { StepProfile } from './step-profile.ts';
import type { FromWorker, ToWorker, WorkerOptions } from './worker-messages.ts';

const NOTHING_RUNS: EngineStatus = {
  running: 0,
  waiting: 0,
  kvUsage: 0,
  preemptions: 0,
  prefixQueries: 0,
  prefixHits: 0,
  drafts: 0,
  draftTokens: 0,
  acceptedTokens: 0,
};

/** A step leaves few objects behind: room for more young ones would be memory that is never given back. */
const HEAP = { maxYoungGenerationSizeMb: 6 } as const;

export type EngineListener = (event: EngineEvent) => void;

/** The engine in its worker thread, as the HTTP side sees it. */
export class EngineClient {
  readonly #worker: Worker;
  readonly #listeners = new Map<string, EngineListener>();
  /** Hears where the time of steps went, when the worker was started with `profile`. */
  onProfile: ((profile: StepProfile) => void) | undefined;
  readonly #checks = new Map<number, (problem: string | undefined) => void>();
  #checkCount = 0;
  #status: EngineStatus = NOTHING_RUNS;
  /** Resolves with the cause when the thread is gone, asked to or not. Whoever still waits for an answer has been told. */
  readonly gone: Promise<Error>;

  private constructor(worker: Worker) {
    this.#worker = worker;
    worker.on('message', (message: FromWorker) => {
      if (message.type === 'events') this.#deliver(message.events, message.status);
      if (message.type === 'profile') this.onProfile?.(message.profile);
      if (message.type === 'checked') this.#checks.get(message.number)?.(message.problem);
    });
    this.gone = new Promise((resolve) => {
      worker.once('error', resolve);
      worker.once('exit', (code) => resolve(new Error(`the engine's thread ended with code ${code}`)));
    });
    void this.gone.then(() => {
      const ids = [...this.#listeners.keys()];
      this.#deliver(
        ids.map((id) => ({ type: 'failed', id, reason: 'engine-gone' })),
        NOTHING_RUNS,
      );
    });
  }

  /** Resolves when the model is loaded. */
  static async start(options: WorkerOptions): Promise<EngineClient> {
    const worker = new Worker(new URL('./worker.ts', import.meta.url), { workerData: options, name: 'engine', resourceLimits: HEAP });
    const client = new EngineClient(worker);
    const [first] = (await Promise.race([once(worker, 'message'), client.gone.then((error) => Promise.reject(error))])) as [FromWorker]; // its only sender is worker.ts
    if (first.type !== 'ready') throw new Error(`the engine's thread began with ${first.type}`);
    return client;
  }

  get status(): EngineStatus {
    return this.#status;
  }

  /** The listener hears nothing more after the event that `isLast` names, or after `cancel`. */
  submit(request: EngineRequest, listener: EngineListener): void {
    this.#listeners.set(request.id, listener);
    this.#post({ type: 'submit', request });
  }

  /** @returns why the grammar cannot be enforced, or `undefined` when it can. */
  checkGrammar(grammar: GrammarSpec): Promise<string | undefined> {
    return this.#ask((number) => ({ type: 'check-grammar', number, grammar }));
  }

  /** @returns why the adapter cannot be used, or `undefined` when it is loaded. */
  loadAdapter(name: string, folder: string): Promise<string | undefined> {
    return this.#ask((number) => ({ type: 'load-adapter', number, name, folder }));
  }

  /** Requests that run with it go on. */
  unloadAdapter(name: string): void {
    this.#post({ type: 'unload-adapter', name });
  }

  async #ask(question: (number: number) => ToWorker): Promise<string | undefined> {
    const number = this.#checkCount++;
    const checked = new Promise<string | undefined>((resolve) => this.#checks.set(number, resolve));
    this.#post(question(number));
    try {
      return await Promise.race([checked, this.gone.then(() => 'the engine stopped')]);
    } finally {
      this.#checks.delete(number);
    }
  }

  cancel(id: string): void {
    if (this.#listeners.delete(id)) this.#post({ type: 'cancel', id });
  }

  /** Ends the thread. A process must not exit before: onnxruntime aborts it when that happens in the middle of a step. */
  async stop(): Promise<void> {
    this.#post({ type: 'stop' });
    await this.gone; // which is its exit, asked for or not
  }

  #post(message: ToWorker): void {
    this.#worker.postMessage(message);
  }

  #deliver(events: readonly EngineEvent[], status: EngineStatus): void {
    this.#status = status;
    for (const event of events) {
      const listener = this.#listeners.get(event.id);
      if (isLast(event)) this.#listeners.delete(event.id);
      listener?.(event);
    }
  }
}

function isLast(event: EngineEvent): boolean {
  return event.type === 'failed' || (event.type === 'output' && event.finish !== undefined);
}
