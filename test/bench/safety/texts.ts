/** Texts for the figures: the evaluation sources of the cache that `prepare_training_data.py` fills, and the project's own. */
import { existsSync, readFileSync } from 'node:fs';
import { type Example, readExamples } from '../../../models/safety/examples.ts';

/** Texts that training never sees; none when there is no cache. */
export async function readEvaluationTexts(cache: string): Promise<readonly Example[]> {
  const path = `${cache}/examples.jsonl`;
  return existsSync(path) ? (await readExamples(path)).filter((example) => example.split === 'evaluate') : [];
}

/** Ordinary questions with alarming words, written for this project and kept out of training. */
export function readHardBenign(): string[] {
  return readFileSync(new URL('../../fixtures/safety/hard-benign.txt', import.meta.url), 'utf8')
    .trim()
    .split('\n');
}

/** Prose without personal data: the news of the cache, or the project's own documents where there is no cache. */
export function readProse(examples: readonly Example[]): string {
  const news = examples.filter((example) => example.source === 'lee-news').map((example) => example.text);
  if (news.length > 0) return news.join('\n');
  const names = ['README.md', 'docs/architecture.md', 'docs/safety.md', 'LICENSE'].map(
    (name) => new URL(`../../../${name}`, import.meta.url),
  );
  return names
    .filter((name) => existsSync(name))
    .map((name) => readFileSync(name, 'utf8'))
    .join('\n');
}

/** Pieces as a model streams them: a word with the space before it, a mark, a line's end. */
export function tokensOf(text: string): string[] {
  return text.match(/ ?[\p{L}\p{M}]+| ?\p{N}{1,3}|\s+| ?[^\s\p{L}\p{N}]+/gu) ?? [];
}
