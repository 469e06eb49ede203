/** Training examples as `prepare_training_data.py` writes them. */
import { readFile } from 'node:fs/promises';
import type { HeadName } from '../../layers/safety/heads/linear-heads.ts';

export interface Example {
  readonly source: string;
  readonly split: 'train' | 'evaluate';
  /** What belongs together inside a source: a template, a topic. */
  readonly group: string;
  readonly text: string;
  /** 0 or 1, or between them where a model labelled. A head that is missing was not judged. */
  readonly labels: Readonly<Partial<Record<HeadName, number>>>;
}

export async function readExamples(path: string): Promise<Example[]> {
  const lines = (await readFile(path, 'utf8')).trimEnd().split('\n');
  // The file is our own script's output: its lines are what `Example` says.
  return lines.map((line) => JSON.parse(line) as Example);
}

/** Pseudo-random numbers in [0, 1) from a seed (mulberry32), so that training is deterministic. */
export function createRandom(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4294967296;
  };
}
