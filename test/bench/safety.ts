/**
 * The figures of the safety filter beside their goals: `npm run bench:safety -- [--cache .cache/safety] [--only PART] [--minilm FOLDER]`, where
 * PART is rules, presidio, streams, speed, classifiers or folds, and FOLDER holds all-MiniLM-L6-v2 (`model.onnx`, `tokenizer.json`).
 * The classifiers' figures need the evaluation texts that `npm run train:safety` collects. OpenAI's set and HateCheck are measured on folds,
 * because the committed heads were trained on the halves that are at hand; that takes some minutes.
 */
import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { parseArgs } from 'node:util';
import { compileDenylist, createMinilmClassifier, createSafetyFilter, parseSafetyPolicy } from '../../layers/safety/index.ts';
import { Embedder } from '../../models/local/embeddings/embedder.ts';
import { loadHeadsFromFile } from '../../models/safety/load-heads.ts';
import { reportClassifiers, reportReviewed } from './safety/classifier-figures.ts';
import { reportFolds } from './safety/fold-figures.ts';
import { plantLookAlikes, plantPersonalData } from './safety/personal-data.ts';
import { reportPresidio } from './safety/presidio-peer.ts';
import { createReport } from './safety/report.ts';
import { reportRules } from './safety/rule-figures.ts';
import { reportSpeed, reportStreams } from './safety/stream-figures.ts';
import { readEvaluationTexts, readProse } from './safety/texts.ts';

const { values } = parseArgs({
  options: {
    cache: { type: 'string', default: '.cache/safety' },
    only: { type: 'string' },
    weights: { type: 'string' },
    minilm: { type: 'string' },
  },
});
const isWanted = (part: string) => values.only === undefined || values.only === part;

const redact = { input: 'redact', output: 'redact' };
const policy = parseSafetyPolicy({ pii: redact, secrets: redact, denylists: { words: redact }, phoneCountries: ['US', 'GB', 'DE', 'FR'] });
const denylists = [compileDenylist('words', [{ text: 'bomb' }, { text: 'kill yourself' }, { text: 'confidential project' }])];
const classifier = loadHeadsFromFile(values.weights);
const rules = createSafetyFilter(policy, { denylists });
const withHeads = createSafetyFilter(policy, { denylists, classifier });
const judging = createSafetyFilter(parseSafetyPolicy({}), { classifier });
const report = createReport();
const examples = await readEvaluationTexts(values.cache);
const prose = readProse(examples);
const planted = plantPersonalData(40);
const lookAlikes = plantLookAlikes(20);

if (isWanted('rules')) {
  report.title('Exact rules on generated values');
  reportRules(rules, planted, lookAlikes, report);
}
if (isWanted('presidio')) {
  report.title('Presidio on the same values');
  await reportPresidio(values.cache, planted, lookAlikes, report);
}
if (isWanted('streams')) {
  report.title('Streams');
  reportStreams(rules, withHeads, prose, report);
}
if (isWanted('speed')) {
  report.title('Speed');
  reportSpeed(rules, withHeads, prose, report);
}
if (isWanted('classifiers')) {
  report.title('Classifiers');
  const { prompt_injection: injection = 0.5, illicit = 0.5 } = classifier.thresholds;
  reportClassifiers(judging, { injection, illicit }, examples, report);
}
if (isWanted('classifiers') && values.minilm !== undefined) {
  const embedder = await Embedder.load(values.minilm, 1);
  const heads = await readFile(new URL('../../models/safety/weights/minilm-heads.jsonl', import.meta.url), 'utf8');
  const minilm = createMinilmClassifier(async (text) => (await embedder.embed(text)).vector, heads, { illicit: [0, 1], hate: [0, 1] });
  const reviewed = createSafetyFilter(parseSafetyPolicy({}), { classifier, reviewers: [minilm] });
  await reportReviewed(reviewed, examples, report);
  await embedder.dispose();
}
if (isWanted('folds')) {
  report.title('Folds of the training sources');
  if (existsSync(`${values.cache}/examples.jsonl`)) await reportFolds(values.cache, report);
  else report.note('No training cache: run models/safety/prepare_training_data.py.');
}
report.title(report.missed.length === 0 ? 'Every goal was met.' : `Missed: ${report.missed.join('; ')}`);
