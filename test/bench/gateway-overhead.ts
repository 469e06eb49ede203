/**
 * What the gateway adds to the time to first token: the same prompt to the container directly, through two bare proxies, and through the whole
 * stack, in turn. `npm run bench:gateway`. Between client and container stand the gateway, the AWS SDK with its signature, and our
 * SageMaker-compatible endpoint, which checks it: two more processes, as the bare proxies are.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { Agent, request } from 'node:http';
import { parseArgs } from 'node:util';
import { createFolderTokenizerFiles } from '../../functions/drivers/folder-tokenizer-files.ts';
import { loadServedModels } from '../../functions/gateway/served-models.ts';
import { catalog } from '../../models/catalog.ts';
import { freePort } from '../../models/local/free-port.ts';
import { startPenstock } from '../support/start-penstock.ts';

const { values } = parseArgs({
  options: {
    rounds: { type: 'string', default: '200' },
    'warm-up': { type: 'string', default: '100' },
    words: { type: 'string', default: '40' },
  },
});
const content = 'Tell me about the sea. '.repeat(Math.ceil(Number(values.words) / 5));
const messages = [{ role: 'user' as const, content }];
const agent = new Agent({ keepAlive: true });

const penstock = await startPenstock();
const proxies = new DisposableStack();
try {
  const [, metricsUrl] = await penstock.shows(/Metrics\s+(\S+)\/metrics/);
  const [served] = catalog;
  if (served === undefined || metricsUrl === undefined) throw new Error('no model is served');
  const tokenizers = new URL('../../models/tokenizers', import.meta.url).pathname;
  const model = (await loadServedModels([served], createFolderTokenizerFiles(tokenizers))).get(served.id);
  const prompt = [...(model?.chatTemplate.encode({ messages, addGenerationPrompt: true }) ?? [])];
  const limits = { max_tokens: 2, temperature: 0, stream: true };
  const completion = { prompt, ...limits, return_token_ids: true, stop_token_ids: served.stopTokenIds };
  const proxied = await startBareProxy(await startBareProxy(metricsUrl));

  const ways = {
    direct: () => timeToFirstEvent(`${metricsUrl}/invocations`, completion),
    proxies: () => timeToFirstEvent(`${proxied}/invocations`, completion),
    gateway: () => timeToFirstEvent(`${penstock.url}/chat/completions`, { model: served.id, messages, ...limits }),
  };
  const figures = { direct: [] as number[], proxies: [] as number[], gateway: [] as number[] };
  for (let round = -Number(values['warm-up']); round < Number(values.rounds); round += 1) {
    const result = { direct: await ways.direct(), proxies: await ways.proxies(), gateway: await ways.gateway() };
    if (round < 0) continue;
    for (const way of ['direct', 'proxies', 'gateway'] as const) figures[way].push(result[way]);
  }

  const added = (way: readonly number[]) => way.map((milliseconds, round) => milliseconds - (figures.direct[round] ?? Number.NaN));
  const line = (name: string, milliseconds: readonly number[]) => {
    const [p50, p90] = [0.5, 0.9].map((q) => quantile(milliseconds, q).toFixed(2).padStart(7));
    console.log(`${name.padEnd(36)} p50 ${p50} ms   p90 ${p90} ms`);
  };
  console.log(`Time to first token, prompt of ${prompt.length} tokens, ${values.rounds} rounds after ${values['warm-up']} to warm up:`);
  line('the container directly', figures.direct);
  line('through two bare proxies', figures.proxies);
  line('through the gateway', figures.gateway);
  line('added by two bare proxies', added(figures.proxies));
  line('added by the gateway (goal: 5 ms)', added(figures.gateway));
  const ratio = quantile(added(figures.gateway), 0.5) / quantile(added(figures.proxies), 0.5);
  console.log(`The gateway adds ${ratio.toFixed(2)}x what two bare proxies add.`);
} finally {
  proxies.dispose();
  agent.destroy();
  await penstock.stop();
}

/** @returns its URL. */
async function startBareProxy(target: string): Promise<string> {
  const port = await freePort();
  const file = new URL('./bare-proxy.ts', import.meta.url).pathname;
  const child = spawn(process.execPath, [file, String(port), target], { stdio: ['ignore', 'pipe', 'inherit'] });
  proxies.defer(() => void child.kill());
  await once(child.stdout, 'data');
  return `http://127.0.0.1:${port}`;
}

/** Milliseconds from the request to the first bytes of the answer's body; little of the client's own time is in it. */
async function timeToFirstEvent(url: string, body: object): Promise<number> {
  const text = JSON.stringify(body);
  const headers = { 'content-type': 'application/json', authorization: 'Bearer sk-local', 'content-length': Buffer.byteLength(text) };
  const startedAt = performance.now();
  const call = request(url, { method: 'POST', headers, agent });
  call.end(text);
  const [response] = await once(call, 'response');
  let milliseconds: number | undefined;
  let answer = '';
  for await (const bytes of response) {
    milliseconds ??= performance.now() - startedAt;
    answer += String(bytes);
  }
  if (response.statusCode !== 200) throw new Error(`${url} answered ${response.statusCode}: ${answer}`);
  return milliseconds ?? Number.NaN;
}

function quantile(figures: readonly number[], q: number): number {
  const sorted = [...figures].sort((one, other) => one - other);
  return sorted[Math.floor((sorted.length - 1) * q)] ?? Number.NaN;
}
