import type { Merge } from './compile-vocabulary.ts';
import { VocabularyError } from './errors.ts';

/**
 * Merges as Hugging Face and GGUF list them: `"left right"` or `[left, right]` in spelled tokens, best first.
 * @throws {VocabularyError} a merge of tokens that the vocabulary lacks.
 */
export function createMergeList(
  idOf: ReadonlyMap<string, number>,
  merges: readonly (string | readonly [string, string])[],
): (left: number, right: number) => Merge | undefined {
  const found = new Map<number, Merge>();
  const keyOf = (left: number, right: number) => left * 2 ** 24 + right;
  for (const [rank, merge] of merges.entries()) {
    const space = typeof merge === 'string' ? merge.indexOf(' ') : 0;
    const [left, right] = typeof merge === 'string' ? [merge.slice(0, space), merge.slice(space + 1)] : merge;
    const leftId = idOf.get(left);
    const rightId = idOf.get(right);
    const id = idOf.get(left + right);
    if (leftId === undefined || rightId === undefined || id === undefined) {
      throw new VocabularyError(`Merge ${rank} joins tokens that the vocabulary lacks.`);
    }
    const key = keyOf(leftId, rightId);
    found.set(key, { rank, id }); // Hugging Face keeps the last of two equal merges
  }
  return (left, right) => found.get(keyOf(left, right));
}
