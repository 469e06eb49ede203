import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { abuseFolds } from '../../../models/safety/abuse-folds.ts';
import { readExamples } from '../../../models/safety/examples.ts';
import { formatFolds, mean } from '../../../models/safety/metrics.ts';
import { embedAll, isChosen } from '../../../models/safety/minilm/embedded-examples.ts';
import { minilmFolds } from '../../../models/safety/minilm/minilm-folds.ts';
import type { WordList } from '../../../models/safety/pack-heads.ts';
import { atLeast, type Report } from './report.ts';

/** Figures on sources that the committed heads were trained on, each fold judged by heads that were not. */
export async function reportFolds(cache: string, report: Report): Promise<void> {
  const examples = await readExamples(`${cache}/examples.jsonl`);
  // The file is written by prepare_training_data.py.
  const words = JSON.parse(await readFile(`${cache}/profanity-words.json`, 'utf8')) as WordList;
  const { any, threats, threatCount } = abuseFolds(examples, words);
  report.line('OpenAI moderation set, any category, five folds', `AUC ${formatFolds(any)}`, atLeast(mean(any), 0.9));
  report.line(`harassment that threatens (${threatCount}), by other heads`, `AUC ${threats.toFixed(3)}`);
  if (!existsSync(`${cache}/minilm-embeddings.json`)) {
    report.note('HateCheck with MiniLM: no embeddings in the cache, run `npm run train:safety:minilm -- --model FOLDER --folds`.');
    return;
  }
  const areas = minilmFolds(await embedAll(examples.filter(isChosen), cache, undefined), 'hatecheck', 'hate');
  report.line('HateCheck, unseen templates, with MiniLM, five folds', `AUC ${formatFolds(areas)}`, atLeast(mean(areas), 0.75));
}
