import type { LoadedModel } from '../../served-models.ts';
import type { ClassificationTask } from './label-prompts.ts';

/** Scores of content-free texts, answer by answer: what a model says of a task before it has read a text. */
export type Prior = readonly (readonly number[])[];

const MOST = 512;

/**
 * Priors of tasks that came before: they are the same each time, and cost three texts. Tasks are kept by a digest, so that nobody's examples stay
 * in memory.
 */
export class PriorCache {
  readonly #priors = new Map<string, Prior>();

  get(key: string): Prior | undefined {
    const prior = this.#priors.get(key);
    if (prior === undefined) return undefined;
    this.#priors.delete(key); // the last one that was used is the last one to go
    this.#priors.set(key, prior);
    return prior;
  }

  set(key: string, prior: Prior): void {
    this.#priors.set(key, prior);
    const [oldest] = this.#priors.keys();
    if (this.#priors.size > MOST && oldest !== undefined) this.#priors.delete(oldest);
  }
}

/** Names what a prior depends on: the model by its id and tokenizer, and the whole task. */
export async function priorKey({ served }: LoadedModel, task: ClassificationTask, decideEach: boolean): Promise<string> {
  const named = JSON.stringify([served.id, served.tokenizer.digest, task.labels, task.instruction, task.examples, decideEach]);
  const digest = await crypto.subtle.digest('SHA-256', new TextEncoder().encode(named));
  return Array.from(new Uint8Array(digest), (byte) => byte.toString(16).padStart(2, '0')).join('');
}
