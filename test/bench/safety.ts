/**
 * The figures of the safety filter beside their goals: `node test/bench/safety.ts [--cache .cache/safety] [--only rules|streams|speed|classifiers]
 * [--minilm FOLDER]`.
 * The classifiers' figures need the evaluation texts that `npm run train:safety` collects; OpenAI's set and HateCheck are in `cross-validate.ts`,
 * because the committed heads were trained on the halves that are at hand.
 */
import { readFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { compileDenylist, createSafetyFilter, parseSafetyPolicy } from '../../layers/safety/index.ts';
import { createMinilmClassifier } from '../../layers/safety/minilm-reviewer.ts';
import { Embedder } from '../../models/local/embeddings/embedder.ts';
import { loadHeadsFromFile } from '../../models/safety/load-heads.ts';
import { reportClassifiers, reportReviewed } from './safety/classifier-figures.ts';
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
const rules = createSafetyFilter(policy, { denylists });
const withHeads = createSafetyFilter(policy, { denylists, classifier: loadHeadsFromFile(values.weights) });
const judging = createSafetyFilter(parseSafetyPolicy({}), { classifier: loadHeadsFromFile(values.weights) });
const report = createReport();
const examples = await readEvaluationTexts(values.cache);
const prose = readProse(examples);

if (isWanted('rules')) {
  report.title('Exact rules on generated values');
  reportRules(rules, report);
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
  reportClassifiers(judging, examples, report);
}
if (isWanted('classifiers') && values.minilm !== undefined) {
  const embedder = await Embedder.load(values.minilm, 1);
  const heads = readFileSync(new URL('../../models/safety/weights/minilm-heads.jsonl', import.meta.url), 'utf8');
  const minilm = createMinilmClassifier(async (text) => (await embedder.embed(text)).vector, heads, { illicit: [0, 1], hate: [0, 1] });
  const reviewed = createSafetyFilter(parseSafetyPolicy({}), { classifier: loadHeadsFromFile(values.weights), reviewers: [minilm] });
  await reportReviewed(reviewed, examples, report);
  await embedder.dispose();
}
