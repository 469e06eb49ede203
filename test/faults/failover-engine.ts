/**
 * `npm run faults:failover`: the real transformer behind the real SDK and our SageMaker runtime, whose stream is broken after every single token in
 * turn. The text must be the uninterrupted one, at temperature 0 and at 0.8 with a seed. Then the same with the gateway killed after every event, also
 * at 0.8 without a seed. Against a real vLLM the first half is in `npm run test:vllm`.
 */
import { spawn } from 'node:child_process';
import { freePort } from '../../models/local/free-port.ts';
import { prepareModel } from '../../models/local/prepare-model.ts';
import { readSettings } from '../../models/local/settings.ts';
import { breakEverywhere, killEverywhere } from '../support/breaking-streams.ts';

const LENGTH = 24;

const settings = readSettings([]);
if (settings === 'help') throw new Error('no settings');
const model = await prepareModel(settings);
const [served] = model.catalog;
if (served === undefined) throw new Error('no model is served');
const port = await freePort();
const main = new URL('../../models/local/container/main.ts', import.meta.url).pathname;
const container = spawn(process.execPath, [main, '--model', model.folder, '--host', '127.0.0.1', '--port', String(port)], {
  stdio: ['ignore', 'ignore', 'inherit'],
});
try {
  await untilReady(`http://127.0.0.1:${port}/ping`);
  for (const sampling of [{ temperature: 0 }, { temperature: 0.8, seed: 7 }]) {
    const request = { prompt: 'The sea was calm and', max_tokens: LENGTH, ...sampling };
    const { same, differences } = await breakEverywhere(served, model.tokenizersFolder, `http://127.0.0.1:${port}`, request);
    for (const difference of differences) console.log(`differs ${difference}`);
    const verdict = same === LENGTH ? 'met   ' : 'MISSED';
    console.log(`${verdict}  endpoint broken at each of ${LENGTH} positions, ${JSON.stringify(sampling)}: equal text ${same} of ${LENGTH}`);
    if (same < LENGTH) process.exitCode = 1;
  }
  for (const sampling of [{ temperature: 0 }, { temperature: 0.8, seed: 7 }, { temperature: 0.8 }]) {
    const request = { prompt: 'The sea was calm and', max_tokens: LENGTH, ...sampling };
    const { same, differences } = await killEverywhere(served, model.tokenizersFolder, `http://127.0.0.1:${port}`, request);
    for (const difference of differences) console.log(`differs ${difference}`);
    const verdict = same === LENGTH ? 'met   ' : 'MISSED';
    console.log(
      `${verdict}  gateway killed after each of ${LENGTH} events, ${JSON.stringify(sampling)}: the same bytes and text ${same} of ${LENGTH}`,
    );
    if (same < LENGTH) process.exitCode = 1;
  }
} finally {
  container.kill('SIGKILL');
}

async function untilReady(url: string): Promise<void> {
  for (let waited = 0; waited < 600; waited += 1) {
    const isReady = await fetch(url).then(
      (response) => response.ok,
      () => false,
    );
    if (isReady) return;
    if (container.exitCode !== null) throw new Error('the container did not start');
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  throw new Error('the container did not get ready');
}
