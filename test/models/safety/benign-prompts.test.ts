import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';

const lines = (path: string) =>
  readFileSync(new URL(`../../../${path}`, import.meta.url), 'utf8')
    .trim()
    .split('\n');
const wordsOf = (text: string) => new Set(text.toLowerCase().match(/[a-z']+/g));
/** Share of the words of both that are in both (Jaccard). */
function likeness(one: ReadonlySet<string>, other: ReadonlySet<string>): number {
  const common = [...one].filter((word) => other.has(word)).length;
  return common / (one.size + other.size - common || 1);
}

describe('the benign prompts that the heads are trained on', () => {
  const evaluated = lines('test/fixtures/safety/hard-benign.txt').map(wordsOf);

  it('do not have the prompts that they are measured on among them, nor their likes', () => {
    const alike = lines('models/safety/benign-prompts.txt').filter((line) =>
      evaluated.some((words) => words.size > 0 && likeness(wordsOf(line), words) >= 0.6),
    );
    expect(alike).toEqual([]);
  });

  it('stand there once', () => {
    const all = lines('models/safety/benign-prompts.txt');
    expect(new Set(all).size).toBe(all.length);
  });
});
