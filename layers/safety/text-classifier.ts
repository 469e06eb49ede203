import { maxScores, type Scores } from './categories.ts';
import type { Thresholds } from './verdict.ts';

/** A classifier that is quick enough to run in line on every window: the linear heads. */
export interface WindowClassifier {
  readonly name: string;
  /** Thresholds for windows, not for whole texts: the highest of many windows is higher. */
  readonly thresholds: Thresholds;
  /**
   * @param text a window, folded, case kept
   * @param windowsBefore how many windows of the same text have been judged: the more there are, the likelier one looks bad by chance
   */
  score(text: string, windowsBefore?: number): Scores;
  /** A quicker way to the scores of a text's windows than `judgeByScore`. They must be the same. */
  startText?(): WindowJudge;
}

/** Judges the windows of one text, in their order. */
export interface WindowJudge {
  /**
   * The higher scores of two: of the window alone, because other sentences would dilute it, and of it together with the one before, because an
   * attack may need two sentences.
   */
  judge(window: string): Scores;
}

/** What a judge of windows is, for any classifier. */
export function judgeByScore(classifier: WindowClassifier): WindowJudge {
  let before = '';
  let windowsBefore = 0;
  return {
    judge(window) {
      const alone = classifier.score(window, windowsBefore);
      const scores = before === '' ? alone : maxScores(alone, classifier.score(before + window, windowsBefore));
      before = window;
      windowsBefore += 1;
      return scores;
    },
  };
}

/** A classifier that takes its time: an ONNX model, a guard model on an endpoint. Implementations live outside of this layer. */
export interface TextClassifier {
  readonly name: string;
  /** Categories and score bands in which the heads are undecided and this one is asked. A band of 0 to 1 asks always. */
  readonly bands: Readonly<Partial<Record<keyof Scores, readonly [from: number, to: number]>>>;
  /** Rejects when it cannot judge; the caller's policy then stays with the heads' scores. */
  classify(text: string, signal?: AbortSignal): Promise<Scores>;
}

/** Whether the heads leave the text to this classifier. */
export function isUndecided(classifier: TextClassifier, scores: Scores): boolean {
  return Object.entries(classifier.bands).some(([category, [from, to]]) => {
    const score = scores[category as keyof Scores] ?? 0;
    return score >= from && score <= to;
  });
}
