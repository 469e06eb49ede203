import { once } from 'node:events';
import { Worker } from 'node:worker_threads';
import { InvocationError } from '../../invocation.ts';
import type { Embedding } from './embedder.ts';

export interface EmbeddingWorkerOptions {
  readonly folder: string;
  readonly threads: number;
}

export interface EmbeddingTask {
  readonly number: number;
  readonly input: string | readonly number[];
}

export type EmbeddingReply = { readonly number: number } & (Embedding | { readonly problem: string });

/** The embedding model in its worker thread. */
export class EmbeddingClient {
  readonly #worker: Worker;
  readonly #waiting = new Map<number, (reply: EmbeddingReply) => void>();
  #count = 0;

  private constructor(worker: Worker) {
    this.#worker = worker;
    worker.on('message', (reply: EmbeddingReply | 'ready') => {
      if (reply !== 'ready') this.#waiting.get(reply.number)?.(reply);
    });
    worker.on('exit', () => {
      for (const [number, answer] of this.#waiting) answer({ number, problem: 'The embedding model stopped.' });
    });
  }

  /** Resolves when the model is loaded. */
  static async start(options: EmbeddingWorkerOptions): Promise<EmbeddingClient> {
    const worker = new Worker(new URL('./worker.ts', import.meta.url), { workerData: options, name: 'embeddings' });
    const client = new EmbeddingClient(worker);
    await once(worker, 'message'); // rejects with the worker's error
    return client;
  }

  /** Throws an `InvocationError` for a text that is too long. */
  async embed(input: EmbeddingTask['input']): Promise<Embedding> {
    const number = this.#count++;
    const reply = await new Promise<EmbeddingReply>((resolve) => {
      this.#waiting.set(number, resolve);
      this.#worker.postMessage({ number, input } satisfies EmbeddingTask);
    });
    this.#waiting.delete(number);
    if ('problem' in reply) throw new InvocationError(reply.problem, { param: 'input' });
    return reply;
  }

  async stop(): Promise<void> {
    const exited = once(this.#worker, 'exit');
    this.#worker.postMessage('stop');
    await exited;
  }
}
