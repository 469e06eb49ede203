/**
 * `npm run faults:failover`: the real transformer behind the real SDK and our SageMaker runtime, whose stream is broken after every single token in
 * turn. The text must be the uninterrupted one, at temperature 0 and at 0.8 with a seed.
 */
import { spawn } from 'node:child_process';
import { createFolderTokenizerFiles } from '../../functions/drivers/folder-tokenizer-files.ts';
import { createMemoryTable } from '../../functions/drivers/memory-table.ts';
import { createRandomIds } from '../../functions/drivers/random-ids.ts';
import { loadSafetyClassifier } from '../../functions/drivers/safety-classifier-file.ts';
import { createSageMakerEndpoint } from '../../functions/drivers/sagemaker-endpoint.ts';
import { createApp } from '../../functions/gateway/app.ts';
import { loadConfig } from '../../functions/gateway/config.ts';
import { createApiKeys } from '../../functions/gateway/keys/api-keys.ts';
import { loadServedModels } from '../../functions/gateway/served-models.ts';
import { prepareModel } from '../../models/local/prepare-model.ts';
import { readSettings } from '../../models/local/settings.ts';
import { freePort } from '../support/free-port.ts';
import { readStream } from '../support/generation-gateway.ts';
import { startTestRuntime } from '../support/sagemaker-runtime.ts';

const LENGTH = 24;
/** How a stream breaks: the connection is reset, SageMaker says so, or it ends as if it were whole. */
const KINDS = ['reset', 'stream-broken', 'cut'] as const;
/** Of no key: the one that is used is made below. */
const KEY_HASH = '0'.repeat(64);

const settings = readSettings([]);
if (settings === 'help') throw new Error('no settings');
const model = await prepareModel(settings);
const port = await freePort();
const container = spawn(
  process.execPath,
  [
    new URL('../../models/local/container/main.ts', import.meta.url).pathname,
    '--model',
    model.folder,
    '--host',
    '127.0.0.1',
    '--port',
    String(port),
  ],
  { stdio: ['ignore', 'ignore', 'inherit'] },
);
try {
  await untilReady(`http://127.0.0.1:${port}/ping`);
  const [served] = model.catalog;
  if (served === undefined) throw new Error('no model is served');
  const { name, inferenceComponent = '' } = served.endpoint;
  await using runtime = await startTestRuntime({
    endpoints: { [name]: { inferenceComponents: { [inferenceComponent]: { containers: [`http://127.0.0.1:${port}`] } } } },
  });
  const config = { ...loadConfig({ PENSTOCK_API_KEY_HASHES: KEY_HASH }), catalog: model.catalog };
  const clock = { now: Date.now };
  const models = await loadServedModels(model.catalog, createFolderTokenizerFiles(model.tokenizersFolder));
  const services = {
    models,
    endpoint: createSageMakerEndpoint({ client: runtime.client }),
    table: createMemoryTable(clock),
    clock,
    ids: createRandomIds(),
    classifier: await loadSafetyClassifier(config.safetyWeightsFile),
    log: { write() {} },
  };
  const { secret } = await createApiKeys(services.table, clock, services.ids).create({
    name: 'faults',
    project_id: 'default',
    organization_id: 'default',
    scopes: ['generate'],
    models: null,
    priority: 'normal',
    limits: {},
    expires_at: null,
  });
  const app = createApp(services, config);
  const ask = async (sampling: object) =>
    readStream(
      await app.request('/v1/completions', {
        method: 'POST',
        headers: { authorization: `Bearer ${secret}`, 'content-type': 'application/json' },
        body: JSON.stringify({ model: served.id, prompt: 'The sea was calm and', max_tokens: LENGTH, stream: true, ...sampling }),
      }),
    );
  for (const sampling of [{ temperature: 0 }, { temperature: 0.8, seed: 7 }]) {
    const expected = await ask(sampling);
    let same = 0;
    for (let after = 0; after < LENGTH; after += 1) {
      await runtime.setFaults({ kind: KINDS[after % KINDS.length] ?? 'reset', afterEvents: after, count: 1 });
      const { text, finishReason, error } = await ask(sampling);
      if (text === expected.text && finishReason === expected.finishReason && error === undefined) same += 1;
      else console.log(`differs after ${after} events: ${error ?? JSON.stringify(text)} instead of ${JSON.stringify(expected.text)}`);
    }
    await runtime.setFaults();
    console.log(
      `${same === LENGTH ? 'met   ' : 'MISSED'}  endpoint broken at each of ${LENGTH} positions, ${JSON.stringify(sampling)}: equal text ${same} of ${LENGTH}`,
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
