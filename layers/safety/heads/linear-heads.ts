/**
 * Linear heads over hashed n-grams, from one file of weights: `PSH1`, length of the header (uint32, little endian), header (JSON), int8 weights
 * [bucket][head], and a word list (uint32 hash, ascending, int8 weight, uint8 idf; each column whole) whose score of a text is one more input.
 */
import * as v from 'valibot';
import { type ClassifiedCategory, classifiedCategories, type Scores } from '../categories.ts';
import type { WindowClassifier } from '../text-classifier.ts';
import { FeatureReader } from './features.ts';
import { createHeadsJudge, type HeadsModel } from './heads-judge.ts';
import { createRowSum } from './sum-rows.ts';
import { createWordScore } from './word-list.ts';

/** `abuse` says that some abusive category applies; the categories share its probability. It is not shown by itself. */
export const headNames = [
  'abuse',
  'hate',
  'hate/threatening',
  'harassment',
  'self-harm',
  'sexual',
  'sexual/minors',
  'violence',
  'violence/graphic',
  'illicit',
  'illicit/violent',
  'prompt_injection',
] as const;
export type HeadName = (typeof headNames)[number];

const firstAbusive = headNames.indexOf('hate');
const abusiveHeads = headNames.slice(firstAbusive, 9) as readonly (HeadName & ClassifiedCategory)[];
const otherHeads = ['illicit', 'illicit/violent', 'prompt_injection'] as const;
const injection = headNames.indexOf('prompt_injection');
type Answer = (score: (category: ClassifiedCategory) => number) => number;
/**
 * Categories without a head, since no text with their labels could be had, and the heads that answer for them. A part of a category is at most as
 * likely as the whole, so the score of the whole is the cautious one. Harassment that threatens is harassment and violence at once.
 */
const answers: readonly (readonly [ClassifiedCategory, Answer])[] = [
  ['harassment/threatening', (score) => Math.min(score('harassment'), Math.max(score('violence'), score('hate/threatening')))],
  ['self-harm/intent', (score) => score('self-harm')],
  ['self-harm/instructions', (score) => score('self-harm')],
];
/** Log-odds of a head that the file has not. */
const absent = -20;

const finite = v.pipe(v.number(), v.finite());
const headerSchema = v.strictObject({
  name: v.string(),
  bucketCount: v.pipe(
    v.number(),
    v.check((count) => count >= 1024 && count <= 2 ** 20 && Number.isInteger(Math.log2(count)), 'a power of two up to 2^20'),
  ),
  heads: v.array(v.strictObject({ name: v.picklist(headNames), scale: finite, bias: finite, wordListWeight: finite })),
  /** Taken from the log-odds of an injection for each e-fold of the windows before, up to sixteen of them. */
  windowPenalty: finite,
  thresholds: v.record(v.picklist(classifiedCategories), v.pipe(v.number(), v.minValue(0), v.maxValue(1))),
  wordCount: v.pipe(v.number(), v.integer(), v.minValue(0)),
  wordScale: finite,
  idfScale: finite,
});
export type HeadsHeader = v.InferOutput<typeof headerSchema>;

const mostPenalized = 16;
const magic = 0x31485350;

/** Packs weights into the format above. `weights` is [bucket][head], already divided by each head's scale. */
export function encodeLinearHeads(
  header: HeadsHeader,
  weights: Int8Array,
  words: { hashes: Uint32Array; weights: Int8Array; idfs: Uint8Array },
): Uint8Array {
  const json = new TextEncoder().encode(JSON.stringify(header));
  const parts = [weights, words.hashes, words.weights, words.idfs].map(
    (part) => new Uint8Array(part.buffer, part.byteOffset, part.byteLength),
  );
  const bytes = new Uint8Array(8 + json.length + parts.reduce((sum, part) => sum + part.length, 0));
  const view = new DataView(bytes.buffer);
  view.setUint32(0, magic, true);
  view.setUint32(4, json.length, true);
  bytes.set(json, 8);
  let offset = 8 + json.length;
  for (const part of parts) {
    bytes.set(part, offset);
    offset += part.length;
  }
  return bytes;
}

/**
 * Loads heads from the bytes of a weights file, which they read from: do not change them. The classifier reuses its buffers and must not be shared
 * between threads.
 * @throws {Error} the bytes are not such a file, or it is cut short.
 */
export function loadLinearHeads(file: Uint8Array): WindowClassifier {
  const bytes = new Uint8Array(file.buffer, file.byteOffset, file.byteLength); // of a Buffer, `slice` would be no copy
  const view = new DataView(bytes.buffer, bytes.byteOffset);
  if (bytes.length < 8 || view.getUint32(0, true) !== magic)
    throw new Error('These are not the weights of the safety heads: the file does not begin with PSH1.');
  const headerEnd = 8 + view.getUint32(4, true);
  const header = v.parse(headerSchema, JSON.parse(new TextDecoder().decode(bytes.subarray(8, headerEnd))));
  const headCount = header.heads.length;
  const weightCount = header.bucketCount * headCount;
  if (bytes.length !== headerEnd + weightCount + header.wordCount * 6) {
    throw new Error(
      `The weights of the safety heads are ${bytes.length} bytes long instead of ${headerEnd + weightCount + header.wordCount * 6}: fetch them again.`,
    );
  }
  const weights = new Int8Array(bytes.buffer, bytes.byteOffset + headerEnd, weightCount);
  const scoreWords = loadWordScore(bytes.subarray(headerEnd + weightCount), header);
  /** In the order of `headNames`. */
  const logits = new Float64Array(headNames.length);
  const places = header.heads.map(({ name }) => headNames.indexOf(name));
  const model: HeadsModel = {
    reader: new FeatureReader(header.bucketCount),
    sumRows: createRowSum(weights, headCount),
    scoresOf(sums, bucketCount, words, windowsBefore) {
      const length = Math.sqrt(Math.max(bucketCount, 1));
      const wordScore = scoreWords(words);
      logits.fill(absent);
      header.heads.forEach(({ scale, bias, wordListWeight }, head) => {
        logits[places[head] ?? 0] = bias + ((sums[head] ?? 0) * scale) / length + wordListWeight * wordScore;
      });
      const penalty = header.windowPenalty * Math.log(Math.min(1 + windowsBefore, mostPenalized));
      logits[injection] = (logits[injection] ?? absent) - penalty;
      return toScores(logits.map(sigmoid));
    },
  };
  return {
    name: header.name,
    thresholds: withThresholdsOfParents(header.thresholds),
    score(text, windowsBefore = 0) {
      const { buckets, words } = model.reader.read(text);
      return model.scoresOf(model.sumRows(buckets), buckets.length, [words], windowsBefore);
    },
    startText: () => createHeadsJudge(model),
  };
}

/** A category that another head answers for has the threshold of the category that it is a part of. */
function withThresholdsOfParents(thresholds: HeadsHeader['thresholds']): HeadsHeader['thresholds'] {
  const parents = answers.map(([category]) => [category, thresholds[category.split('/')[0] as ClassifiedCategory] ?? 0.5]);
  return { ...Object.fromEntries(parents), ...thresholds };
}

function loadWordScore(bytes: Uint8Array, { wordCount, wordScale, idfScale }: HeadsHeader) {
  return createWordScore({
    hashes: new Uint32Array(bytes.slice(0, wordCount * 4).buffer), // a copy, since nothing aligns them in the file
    weights: new Int8Array(bytes.buffer, bytes.byteOffset + wordCount * 4, wordCount),
    idfs: bytes.subarray(wordCount * 5),
    weightScale: wordScale,
    idfScale,
  });
}

const sigmoid = (logit: number) => 1 / (1 + Math.exp(-logit));

/**
 * The likeliest abusive category gets the probability of abuse, the others their share of it.
 * @param chances in the order of `headNames`
 */
function toScores(chances: Float64Array): Scores {
  const [abuse = 0] = chances;
  let likeliest = 0;
  for (let head = 0; head < abusiveHeads.length; head += 1) likeliest = Math.max(likeliest, chances[firstAbusive + head] ?? 0);
  const scores: Partial<Record<ClassifiedCategory, number>> = {};
  abusiveHeads.forEach((name, head) => {
    scores[name] = (abuse * (chances[firstAbusive + head] ?? 0)) / likeliest;
  });
  for (const name of otherHeads) scores[name] = chances[headNames.indexOf(name)] ?? 0;
  for (const [category, answer] of answers) scores[category] = answer((name) => scores[name] ?? 0);
  return scores;
}
