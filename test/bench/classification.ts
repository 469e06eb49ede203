/**
 * How often `/v1/classify` agrees with people about movie reviews, beside a plain zero-shot prompt to the same model: `npm run
 * bench:classification`. The reviews are of PyPI's vaderSentiment 3.3.2 (Hutto and Gilbert 2014: snippets of rotten.tomatoes.com, each rated by
 * twenty people from -4 to 4); `pip` downloads them once. Takes `-- --count N --url URL` for another number of reviews or a running server.
 */
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import OpenAI from 'openai';
import { startPenstock } from '../support/start-penstock.ts';

const MODEL = 'smollm2-135m-instruct';
/** Reviews about which people were of one mind. */
const CLEAR = 1.5;
const LABELS = ['negative', 'positive'];

interface Review {
  readonly text: string;
  readonly label: string;
}

const { values } = parseArgs({ options: { count: { type: 'string', default: '100' }, url: { type: 'string' } } });
const reviews = sample(loadReviews(), Number(values.count));
const examples = sample(loadReviews().reverse(), 4).map(({ text, label }) => ({ input: text, label }));
const penstock = values.url === undefined ? await startPenstock() : undefined;
const client = new OpenAI({ baseURL: values.url ?? penstock?.url ?? '', apiKey: 'sk-local', maxRetries: 0, timeout: 600_000 });
try {
  console.log(`${reviews.length} reviews, half of them positive; ${MODEL}; guessing is right in half of them.\n`);
  const plain = await measure('plain zero-shot prompt, one word', askPlainly);
  const ours = await measure('/v1/classify, zero-shot', (texts) => classify(texts, {}));
  const fewShot = await measure('/v1/classify, 4 examples', (texts) => classify(texts, { examples }));
  console.log(`\nRatio to the plain prompt: ${(ours / plain).toFixed(2)} zero-shot, ${(fewShot / plain).toFixed(2)} with examples.`);
} finally {
  await penstock?.stop();
}

async function measure(name: string, decide: (texts: readonly string[]) => Promise<readonly string[]>): Promise<number> {
  const startedAt = performance.now();
  const labels: string[] = [];
  const size = 16;
  for (let start = 0; start < reviews.length; start += size) {
    labels.push(...(await decide(reviews.slice(start, start + size).map(({ text }) => text))));
  }
  const right = reviews.filter(({ label }, index) => labels[index] === label).length / reviews.length;
  const milliseconds = (performance.now() - startedAt) / reviews.length;
  console.log(`${name.padEnd(36)} ${(right * 100).toFixed(1).padStart(5)} % right   ${milliseconds.toFixed(0)} ms a review`);
  return right;
}

async function classify(input: readonly string[], options: object): Promise<readonly string[]> {
  const body = { model: MODEL, task: 'sentiment', labels: LABELS, input, ...options };
  const answer = await client.post<{ data: { label: string }[] }>('/classify', { body });
  return answer.data.map(({ label }) => label);
}

async function askPlainly(texts: readonly string[]): Promise<readonly string[]> {
  const answers = await Promise.all(
    texts.map((text) =>
      client.chat.completions.create({
        model: MODEL,
        messages: [
          { role: 'user', content: `Is this movie review positive or negative? Answer with one word, positive or negative.\n\n${text}` },
        ],
        temperature: 0,
        max_tokens: 8,
      }),
    ),
  );
  return answers.map((answer) => LABELS.find((label) => answer.choices[0]?.message.content?.toLowerCase().includes(label)) ?? 'neither');
}

function loadReviews(): Review[] {
  const folder = new URL('../../node_modules/.cache/penstock-vader', import.meta.url).pathname;
  const file = join(folder, 'hutto_ICWSM_2014/movieReviewSnippets_GroundTruth.txt');
  if (!existsSync(file)) {
    mkdirSync(folder, { recursive: true });
    const download = ['-m', 'pip', 'download', '--quiet', '--no-deps', '--no-binary', ':all:', '--dest', folder, 'vaderSentiment==3.3.2'];
    execFileSync('python3', download, { stdio: 'inherit' });
    const inner = 'vaderSentiment-3.3.2/additional_resources/hutto_ICWSM_2014.tar.gz';
    execFileSync('tar', ['xzf', 'vaderSentiment-3.3.2.tar.gz', inner], { cwd: folder });
    execFileSync('tar', ['xzf', inner], { cwd: folder });
  }
  const lines = readFileSync(file, 'latin1').split(/\r?\n/);
  return lines.flatMap((line) => {
    const [, score, text] = line.split('\t');
    if (text === undefined || Math.abs(Number(score)) < CLEAR) return [];
    return [{ text: text.trim(), label: Number(score) > 0 ? 'positive' : 'negative' }];
  });
}

/** As many of each label, evenly over the whole set. */
function sample(all: readonly Review[], count: number): readonly Review[] {
  const half = Math.floor(count / 2);
  const chosen = LABELS.map((label) => {
    const ours = all.filter((review) => review.label === label);
    return Array.from({ length: half }, (_, index) => ours[Math.floor((index * ours.length) / half)]).filter(
      (review) => review !== undefined,
    );
  });
  return Array.from({ length: half }, (_, index) => chosen.flatMap((ours) => ours[index] ?? [])).flat();
}
