/**
 * Judges the windows of one text and reads each only once. A bucket counts once, so two windows together have the buckets of the first and those
 * of the second that the first has not; their weights are whole numbers, whose sums are the same in any order.
 */
import { maxScores, type Scores } from '../categories.ts';
import type { WindowJudge } from '../text-classifier.ts';
import type { FeatureReader, Features } from './features.ts';
import { readApartAsTogether } from './read-words.ts';

/** What turns features into scores. */
export interface HeadsModel {
  readonly reader: FeatureReader;
  /** The sum of each head's weights over buckets. The next call overwrites it. */
  sumRows(buckets: Int32Array): Int32Array;
  /** @param words of one text, in any number of pieces */
  scoresOf(sums: Int32Array, bucketCount: number, words: readonly Uint32Array[], windowsBefore: number): Scores;
}

interface ReadWindow extends Features {
  readonly text: string;
  readonly sums: Int32Array;
}

export function createHeadsJudge(model: HeadsModel): WindowJudge {
  const { reader } = model;
  let before: ReadWindow | undefined;
  let windowsBefore = 0;
  const read = (text: string): ReadWindow => {
    const features = reader.read(text);
    const sums = model.sumRows(features.buckets).slice();
    return { ...features, buckets: features.buckets.slice(), words: features.words.slice(), text, sums };
  };
  const scoreAlone = ({ sums, buckets, words }: ReadWindow) => model.scoresOf(sums, buckets.length, [words], windowsBefore);
  const scoreTogether = (first: ReadWindow, second: ReadWindow) => {
    if (!readApartAsTogether(first.text, second.text)) return scoreAlone(read(first.text + second.text));
    const added = reader.added(first, second);
    const sums = model.sumRows(added).map((sum, head) => sum + (first.sums[head] ?? 0));
    return model.scoresOf(sums, first.buckets.length + added.length, [first.words, second.words], windowsBefore);
  };
  return {
    judge(text) {
      const window = read(text);
      const alone = scoreAlone(window);
      const scores = before === undefined ? alone : maxScores(alone, scoreTogether(before, window));
      before = window;
      windowsBefore += 1;
      return scores;
    },
  };
}
