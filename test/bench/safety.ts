/**
 * The figures of the safety filter beside their goals: `node test/bench/safety.ts [--cache .cache/safety] [--only rules|streams|speed|classifiers]`.
 * The classifiers' figures need the evaluation texts that `npm run train:safety` collects; OpenAI's set and HateCheck are in `cross-validate.ts`,
 * because the committed heads were trained on the halves that are at hand.
 */
import { parseArgs } from 'node:util';
import { compileDenylist, createSafetyFilter, parseSafetyPolicy } from '../../layers/safety/index.ts';
import { loadHeadsFromFile } from '../../models/safety/load-heads.ts';
import { reportClassifiers } from './safety/classifier-figures.ts';
import { createReport } from './safety/report.ts';
import { reportRules } from './safety/rule-figures.ts';
import { reportSpeed, reportStreams } from './safety/stream-figures.ts';
import { readEvaluationTexts } from './safety/texts.ts';

const { values } = parseArgs({ options: { cache: { type: 'string', default: '.cache/safety' }, only: { type: 'string' }, weights: { type: 'string' } } });
const isWanted = (part: string) => values.only === undefined || values.only === part;

const redact = { input: 'redact', output: 'redact' };
const policy = parseSafetyPolicy({ pii: redact, secrets: redact, denylists: { words: redact }, phoneCountries: ['US', 'GB', 'DE', 'FR'] });
const denylists = [compileDenylist('words', [{ text: 'bomb' }, { text: 'kill yourself' }, { text: 'confidential project' }])];
const rules = createSafetyFilter(policy, { denylists });
const withHeads = createSafetyFilter(policy, { denylists, classifier: loadHeadsFromFile(values.weights) });
const judging = createSafetyFilter(parseSafetyPolicy({}), { classifier: loadHeadsFromFile(values.weights) });
const report = createReport();

if (isWanted('rules')) {
  report.title('Exact rules on generated values');
  reportRules(rules, report);
}
if (isWanted('streams')) {
  report.title('Streams');
  reportStreams(rules, withHeads, report);
}
if (isWanted('speed')) {
  report.title('Speed');
  reportSpeed(rules, withHeads, report);
}
if (isWanted('classifiers')) {
  report.title('Classifiers');
  reportClassifiers(judging, await readEvaluationTexts(values.cache), report);
}
