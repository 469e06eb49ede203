/**
 * Linear heads over hashed n-grams, from one file of weights: `PSH1`, length of the header (uint32, little endian), header (JSON), int8 weights
 * [bucket][head], and a word list (uint32 hash, ascending, int8 weight, uint8 idf; each column whole) whose score of a text is one more input.
 */
import * as v from 'valibot';
import { type ClassifiedCategory, classifiedCategories, type Scores } from '../categories.ts';
import type { WindowClassifier } from '../text-classifier.ts';
import { FeatureReader, hashWord } from './features.ts';

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

const abusiveHeads = headNames.slice(1, 9) as readonly (HeadName & ClassifiedCategory)[];
/**
 * Categories without a head, since no text with their labels could be had, and the heads that answer for them. A part of a category is at most as
 * likely as the whole, so the score of the whole is the cautious one. Harassment that threatens is harassment and violence at once.
 */
const answeredBy: Readonly<Partial<Record<ClassifiedCategory, (score: (category: ClassifiedCategory) => number) => number>>> = {
  'harassment/threatening': (score) => Math.min(score('harassment'), Math.max(score('violence'), score('hate/threatening'))),
  'self-harm/intent': (score) => score('self-harm'),
  'self-harm/instructions': (score) => score('self-harm'),
};
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
  const scoreWords = loadWordList(bytes.subarray(headerEnd + weightCount), header);
  const reader = new FeatureReader(header.bucketCount);
  const sums = new Float64Array(headCount);
  const logits = new Map<HeadName, number>();
  return {
    name: header.name,
    thresholds: withThresholdsOfParents(header.thresholds),
    score(text, windowsBefore = 0) {
      const { buckets, words } = reader.read(text);
      sums.fill(0);
      for (const bucket of buckets) {
        const row = bucket * headCount;
        for (let head = 0; head < headCount; head += 1) sums[head] = (sums[head] ?? 0) + (weights[row + head] ?? 0);
      }
      const wordScore = scoreWords(words);
      header.heads.forEach(({ name, scale, bias, wordListWeight }, head) => {
        logits.set(name, bias + ((sums[head] ?? 0) * scale) / Math.sqrt(Math.max(buckets.length, 1)) + wordListWeight * wordScore);
      });
      const penalty = header.windowPenalty * Math.log(Math.min(1 + windowsBefore, mostPenalized));
      logits.set('prompt_injection', (logits.get('prompt_injection') ?? -20) - penalty);
      return scoresOf(logits);
    },
  };
}

/** A category that another head answers for has the threshold of the category that it is a part of. */
function withThresholdsOfParents(thresholds: HeadsHeader['thresholds']): HeadsHeader['thresholds'] {
  const parents = Object.keys(answeredBy).map((category) => [category, thresholds[category.split('/')[0] as ClassifiedCategory] ?? 0.5]);
  return { ...Object.fromEntries(parents), ...thresholds };
}

/** alt-profanity-check's score of words: the sum of weight x idf over the length of the idf vector. */
function loadWordList(bytes: Uint8Array, header: HeadsHeader): (words: readonly string[]) => number {
  const count = header.wordCount;
  const hashes = new Uint32Array(bytes.slice(0, count * 4).buffer); // a copy, since nothing aligns them in the file
  const weights = new Int8Array(bytes.buffer, bytes.byteOffset + count * 4, count);
  const idfs = bytes.subarray(count * 5);
  if (hashes.some((hash, index) => index > 0 && hash <= (hashes[index - 1] ?? 0))) {
    throw new Error('The word list of the safety heads is not in the order of its hashes: fetch the weights again.');
  }
  return (words) => {
    let sum = 0;
    let square = 0;
    for (const word of new Set(words)) {
      const index = word.length < 2 ? -1 : findHash(hashes, hashWord(word));
      if (index < 0) continue;
      sum += (weights[index] ?? 0) * header.wordScale;
      square += ((idfs[index] ?? 0) * header.idfScale) ** 2;
    }
    return square === 0 ? 0 : sum / Math.sqrt(square);
  };
}

/** Where the hash is among ascending ones; -1 when it is not. */
function findHash(hashes: Uint32Array, hash: number): number {
  let low = 0;
  let high = hashes.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((hashes[middle] ?? 0) < hash) low = middle + 1;
    else high = middle;
  }
  return hashes[low] === hash ? low : -1;
}

const sigmoid = (logit: number) => 1 / (1 + Math.exp(-logit));

/** The likeliest abusive category gets the probability of abuse, the others their share of it. */
function scoresOf(logits: ReadonlyMap<HeadName, number>): Scores {
  const abuse = sigmoid(logits.get('abuse') ?? -20);
  const chances = abusiveHeads.map((name) => sigmoid(logits.get(name) ?? -20));
  const likeliest = Math.max(...chances);
  const scores: Partial<Record<ClassifiedCategory, number>> = {};
  abusiveHeads.forEach((name, index) => {
    scores[name] = (abuse * (chances[index] ?? 0)) / likeliest;
  });
  for (const name of ['illicit', 'illicit/violent', 'prompt_injection'] as const) scores[name] = sigmoid(logits.get(name) ?? -20);
  for (const [category, answer] of Object.entries(answeredBy)) scores[category as ClassifiedCategory] = answer((name) => scores[name] ?? 0);
  return scores;
}
