import { createFolderTokenizerFiles } from '../../functions/drivers/folder-tokenizer-files.ts';
import { createMemoryTable } from '../../functions/drivers/memory-table.ts';
import { createRandomIds } from '../../functions/drivers/random-ids.ts';
import { loadSafetyClassifier } from '../../functions/drivers/safety-classifier-file.ts';
import { createSageMakerEndpoint } from '../../functions/drivers/sagemaker-endpoint.ts';
import { createApp } from '../../functions/gateway/app.ts';
import { loadConfig } from '../../functions/gateway/config.ts';
import { createApiKeys } from '../../functions/gateway/keys/api-keys.ts';
import { loadServedModels } from '../../functions/gateway/served-models.ts';
import type { ServedModel } from '../../models/catalog.ts';
import { readStream } from './generation-gateway.ts';
import { startTestRuntime } from './sagemaker-runtime.ts';

/** How a stream breaks: the connection is reset, SageMaker says so, or it ends as if it were whole. */
const KINDS = ['reset', 'stream-broken', 'cut'] as const;

export interface BreakReport {
  readonly same: number;
  readonly differences: readonly string[];
}

/**
 * Asks a container for one completion through the whole path (gateway, AWS SDK, our SageMaker runtime), once in peace and then once for each token
 * position at which its stream is broken, and counts the answers that are the same.
 */
export async function breakEverywhere(
  served: ServedModel,
  tokenizersFolder: string,
  containerUrl: string,
  request: { readonly prompt: string; readonly max_tokens: number; readonly temperature: number; readonly seed?: number },
): Promise<BreakReport> {
  const { name, inferenceComponent = 'base' } = served.endpoint;
  const model = { ...served, endpoint: { name, inferenceComponent } };
  await using runtime = await startTestRuntime({
    endpoints: { [name]: { inferenceComponents: { [inferenceComponent]: { containers: [containerUrl] } } } },
  });
  const clock = { now: Date.now };
  const table = createMemoryTable(clock);
  const ids = createRandomIds();
  const models = await loadServedModels([model], createFolderTokenizerFiles(tokenizersFolder));
  const endpoint = createSageMakerEndpoint({ client: runtime.client });
  // The key of the configuration is nobody's: the one that is used is made here.
  const config = { ...loadConfig({ PENSTOCK_API_KEY_HASHES: '0'.repeat(64) }), catalog: [model] };
  const classifier = await loadSafetyClassifier(config.safetyWeightsFile);
  const app = createApp({ models, endpoint, table, classifier, clock, ids, log: { write() {} } }, config);
  const { secret } = await createApiKeys(table, clock, ids).create({
    name: 'faults',
    project_id: 'default',
    organization_id: 'default',
    scopes: ['generate'],
    models: null,
    priority: 'normal',
    limits: {},
    expires_at: null,
  });
  const ask = async () =>
    readStream(
      await app.request('/v1/completions', {
        method: 'POST',
        headers: { authorization: `Bearer ${secret}`, 'content-type': 'application/json' },
        body: JSON.stringify({ model: served.id, stream: true, ...request }),
      }),
    );
  const expected = await ask();
  if (expected.error !== undefined) throw new Error(`the container does not answer: ${expected.error}`);
  const differences: string[] = [];
  for (let after = 0; after < request.max_tokens; after += 1) {
    await runtime.setFaults({ kind: KINDS[after % KINDS.length] ?? 'reset', afterEvents: after, count: 1 });
    const { text, finishReason, error } = await ask();
    if (text === expected.text && finishReason === expected.finishReason && error === undefined) continue;
    differences.push(`after ${after} events: ${error ?? JSON.stringify(text)} instead of ${JSON.stringify(expected.text)}`);
  }
  endpoint.close();
  return { same: request.max_tokens - differences.length, differences };
}
