/**
 * Logistic regression on windows, all heads at once, by AdaGrad. An example is a text of several windows and its label says that some window is
 * bad, not which (multiple-instance learning): in the first epochs every window of a bad text counts, afterwards only those that the model itself
 * finds worst (MI-SVM, Andrews et al. 2003). All windows of a harmless text are harmless.
 */
import { FeatureReader } from '../../layers/safety/heads/features.ts';
import { type HeadName, headNames } from '../../layers/safety/heads/linear-heads.ts';
import { readWords } from '../../layers/safety/heads/read-words.ts';
import { readWindows } from '../../layers/safety/windows.ts';
import { createRandom, type Example } from './examples.ts';

export interface TrainedHeads {
  readonly bucketCount: number;
  /** [bucket][head] */
  readonly weights: Float32Array;
  readonly biases: Float32Array;
  readonly wordListWeights: Float32Array;
}

export interface TrainingOptions {
  readonly bucketCount: number;
  readonly epochs: number;
  readonly learningRate: number;
  /** L2 penalty for each visit of a weight. */
  readonly decay: number;
  readonly seed: number;
  /** How much an example of a source counts for a head. */
  readonly weightOf: (source: string, head: HeadName) => number;
  readonly wordScore: (words: readonly string[]) => number;
  readonly mostWindows: number;
}

interface Window {
  readonly buckets: Int32Array;
  readonly wordScore: number;
}

interface Bag {
  readonly windows: readonly Window[];
  /** One label for each head, -1 where the example was not judged. */
  readonly labels: Float32Array;
  /** How much the example counts for each head. */
  readonly weights: Float32Array;
}

const headCount = headNames.length;
/** Epochs in which every window of a bad text counts. */
const warmUpEpochs = 3;
/** Share of a bad text's windows that count afterwards. */
const worstShare = 0.34;

export function trainHeads(examples: readonly Example[], options: TrainingOptions): TrainedHeads {
  const bags = examples.map((example) => readBag(example, options)).filter((bag) => bag.windows.length > 0);
  const model = {
    bucketCount: options.bucketCount,
    weights: new Float32Array(options.bucketCount * headCount),
    biases: new Float32Array(headCount).fill(-2),
    wordListWeights: new Float32Array(headCount),
  };
  const squares = {
    weights: new Float32Array(model.weights.length).fill(1e-4),
    biases: new Float32Array(headCount).fill(1),
    words: new Float32Array(headCount).fill(1),
  };
  const random = createRandom(options.seed);
  const logits = new Float64Array(headCount);
  const gradients = new Float64Array(headCount);

  const learn = (window: Window, { labels, weights }: Bag, share: number, isCounted: (head: number) => boolean) => {
    computeLogits(model, window, logits);
    const value = 1 / Math.sqrt(Math.max(window.buckets.length, 1));
    for (let head = 0; head < headCount; head += 1) {
      const label = labels[head] ?? -1;
      gradients[head] =
        label < 0 || !isCounted(head) ? 0 : share * (weights[head] ?? 1) * (1 / (1 + Math.exp(-(logits[head] ?? 0))) - label);
    }
    for (const bucket of window.buckets) {
      for (let head = 0; head < headCount; head += 1) {
        const slope = gradients[head] ?? 0;
        if (slope === 0) continue;
        const index = bucket * headCount + head;
        const gradient = slope * value + options.decay * (model.weights[index] ?? 0);
        const square = (squares.weights[index] ?? 0) + gradient * gradient;
        squares.weights[index] = square;
        model.weights[index] = (model.weights[index] ?? 0) - (options.learningRate * gradient) / Math.sqrt(square);
      }
    }
    for (let head = 0; head < headCount; head += 1) {
      const slope = gradients[head] ?? 0;
      if (slope === 0) continue;
      squares.biases[head] = (squares.biases[head] ?? 0) + slope * slope;
      model.biases[head] = (model.biases[head] ?? 0) - (0.1 * slope) / Math.sqrt(squares.biases[head] ?? 1);
      const ofWords = slope * window.wordScore;
      squares.words[head] = (squares.words[head] ?? 0) + ofWords * ofWords;
      model.wordListWeights[head] = (model.wordListWeights[head] ?? 0) - (0.1 * ofWords) / Math.sqrt(squares.words[head] ?? 1);
    }
  };

  for (let epoch = 0; epoch < options.epochs; epoch += 1) {
    for (const bag of shuffle(bags, random)) {
      const worst = epoch < warmUpEpochs || bag.windows.length === 1 ? undefined : worstWindows(model, bag);
      const share = 1 / Math.sqrt(bag.windows.length);
      bag.windows.forEach((window, index) => {
        learn(window, bag, share, (head) => worst === undefined || bag.labels[head] !== 1 || (worst[head]?.has(index) ?? true));
      });
    }
  }
  return model;
}

function readBag(example: Example, options: TrainingOptions): Bag {
  const reader = readerFor(options.bucketCount);
  const windows = readWindows(example.text)
    .slice(0, options.mostWindows)
    .map(({ text }) => ({ buckets: reader.read(text).buckets.slice(), wordScore: options.wordScore(readWords(text)) }));
  const labels = new Float32Array(headCount).fill(-1);
  headNames.forEach((name, head) => {
    labels[head] = example.labels[name] ?? -1;
  });
  return { windows, labels, weights: Float32Array.from(headNames, (name) => options.weightOf(example.source, name)) };
}

const readers = new Map<number, FeatureReader>();
function readerFor(bucketCount: number): FeatureReader {
  const reader = readers.get(bucketCount) ?? new FeatureReader(bucketCount);
  readers.set(bucketCount, reader);
  return reader;
}

function computeLogits(model: TrainedHeads, window: Window, logits: Float64Array): void {
  logits.fill(0);
  for (const bucket of window.buckets) {
    const row = bucket * headCount;
    for (let head = 0; head < headCount; head += 1) logits[head] = (logits[head] ?? 0) + (model.weights[row + head] ?? 0);
  }
  const value = 1 / Math.sqrt(Math.max(window.buckets.length, 1));
  for (let head = 0; head < headCount; head += 1) {
    logits[head] = (logits[head] ?? 0) * value + (model.biases[head] ?? 0) + (model.wordListWeights[head] ?? 0) * window.wordScore;
  }
}

/** For each head with a bad label, the indices of the windows that score highest. */
function worstWindows(model: TrainedHeads, bag: Bag): Partial<Record<number, ReadonlySet<number>>> {
  const logits = new Float64Array(headCount);
  const scores = bag.windows.map((window) => {
    computeLogits(model, window, logits);
    return Float64Array.from(logits);
  });
  const count = Math.max(1, Math.ceil(bag.windows.length * worstShare));
  const worst: Partial<Record<number, ReadonlySet<number>>> = {};
  for (let head = 0; head < headCount; head += 1) {
    if (bag.labels[head] !== 1) continue;
    const order = scores.map((score, index) => ({ score: score[head] ?? 0, index })).sort((a, b) => b.score - a.score);
    worst[head] = new Set(order.slice(0, count).map(({ index }) => index));
  }
  return worst;
}

function shuffle<T>(items: readonly T[], random: () => number): T[] {
  const shuffled = [...items];
  for (let index = shuffled.length - 1; index > 0; index -= 1) {
    const other = Math.floor(random() * (index + 1));
    // Both indices are inside the array.
    [shuffled[index], shuffled[other]] = [shuffled[other] as T, shuffled[index] as T];
  }
  return shuffled;
}
