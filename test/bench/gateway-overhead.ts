/**
 * What the gateway adds to the time to first token: the same prompt through the whole stack and to the container directly, in turn.
 * `npm run bench:gateway`. Between the two lie the gateway, the AWS SDK with its signature, and our SageMaker-compatible endpoint.
 */
import { parseArgs } from 'node:util';
import { createFolderTokenizerFiles } from '../../functions/drivers/folder-tokenizer-files.ts';
import { loadServedModels } from '../../functions/gateway/served-models.ts';
import { catalog } from '../../models/catalog.ts';
import { startPenstock } from '../support/start-penstock.ts';

const { values } = parseArgs({ options: { rounds: { type: 'string', default: '60' }, words: { type: 'string', default: '40' } } });
const rounds = Number(values.rounds);
const content = 'Tell me about the sea. '.repeat(Math.ceil(Number(values.words) / 5));
const messages = [{ role: 'user' as const, content }];

const penstock = await startPenstock();
try {
  const [, metricsUrl] = await penstock.shows(/Metrics\s+(\S+)\/metrics/);
  const [served] = catalog;
  if (served === undefined || metricsUrl === undefined) throw new Error('no model is served');
  const tokenizers = new URL('../../models/tokenizers', import.meta.url).pathname;
  const model = (await loadServedModels([served], createFolderTokenizerFiles(tokenizers))).get(served.id);
  const prompt = [...(model?.chatTemplate.encode({ messages, addGenerationPrompt: true }) ?? [])];

  const direct = () =>
    timeToFirstEvent(`${metricsUrl}/invocations`, {
      prompt,
      max_tokens: 2,
      temperature: 0,
      stream: true,
      return_token_ids: true,
      stop_token_ids: served.stopTokenIds,
    });
  const through = () =>
    timeToFirstEvent(`${penstock.url}/chat/completions`, { model: served.id, messages, max_tokens: 2, temperature: 0, stream: true });
  for (let warmUp = 0; warmUp < 10; warmUp += 1) await Promise.all([direct(), through()]);
  const pairs: { direct: number; through: number }[] = [];
  for (let round = 0; round < rounds; round += 1) pairs.push({ direct: await direct(), through: await through() });

  const column = (name: string, figures: number[]) =>
    console.log(`${name.padEnd(28)} p50 ${quantile(figures, 0.5).toFixed(2)} ms   p90 ${quantile(figures, 0.9).toFixed(2)} ms`);
  console.log(`Time to first token, prompt of ${prompt.length} tokens, ${rounds} pairs in turn:`);
  column(
    'container directly',
    pairs.map((pair) => pair.direct),
  );
  column(
    'through the gateway',
    pairs.map((pair) => pair.through),
  );
  column(
    'added, pair by pair',
    pairs.map((pair) => pair.through - pair.direct),
  );
} finally {
  await penstock.stop();
}

/** Milliseconds from the request to the first `data:` line. */
async function timeToFirstEvent(url: string, body: object): Promise<number> {
  const startedAt = performance.now();
  const response = await fetch(url, {
    method: 'POST',
    headers: { 'content-type': 'application/json', authorization: 'Bearer sk-local' },
    body: JSON.stringify(body),
  });
  if (!response.ok || response.body === null) throw new Error(`${url} answered ${response.status}: ${await response.text()}`);
  let milliseconds: number | undefined;
  for await (const _ of response.body) milliseconds ??= performance.now() - startedAt;
  return milliseconds ?? Number.NaN;
}

function quantile(figures: readonly number[], q: number): number {
  const sorted = [...figures].sort((one, other) => one - other);
  return sorted[Math.floor((sorted.length - 1) * q)] ?? Number.NaN;
}
