import { createFolderTokenizerFiles } from '../../functions/drivers/folder-tokenizer-files.ts';
import { createMemoryTable } from '../../functions/drivers/memory-table.ts';
import { createRandomIds } from '../../functions/drivers/random-ids.ts';
import { loadSafetyClassifier } from '../../functions/drivers/safety-classifier-file.ts';
import { createSageMakerEndpoint } from '../../functions/drivers/sagemaker-endpoint.ts';
import { createApp } from '../../functions/gateway/app.ts';
import { loadConfig } from '../../functions/gateway/config.ts';
import { chooseSeed } from '../../functions/gateway/generation/continuation.ts';
import { createApiKeys } from '../../functions/gateway/keys/api-keys.ts';
import { loadServedModels } from '../../functions/gateway/served-models.ts';
import type { Table } from '../../functions/gateway/services/table.ts';
import type { ServedModel } from '../../models/catalog.ts';
import { readStream } from './generation-gateway.ts';
import { createMortalTable } from './mortal-table.ts';
import { startTestRuntime } from './sagemaker-runtime.ts';

/** How a stream breaks: the connection is reset, SageMaker says so, or it ends as if it were whole. */
const KINDS = ['reset', 'stream-broken', 'cut'] as const;

export interface BreakReport {
  readonly same: number;
  readonly differences: readonly string[];
}

interface AnswerRequest {
  readonly prompt: string;
  readonly max_tokens: number;
  readonly temperature: number;
  readonly seed?: number;
}

/** The whole path to a container: gateways over one table, the AWS SDK, our SageMaker runtime. */
async function openPath(served: ServedModel, tokenizersFolder: string, containerUrl: string) {
  const { name, inferenceComponent = 'base' } = served.endpoint;
  const model = { ...served, endpoint: { ...served.endpoint, inferenceComponent } };
  const runtime = await startTestRuntime({
    endpoints: { [name]: { inferenceComponents: { [inferenceComponent]: { containers: [containerUrl] } } } },
  });
  const clock = { ahead: 0, now: () => Date.now() + clock.ahead };
  const table = createMemoryTable(clock);
  const ids = createRandomIds();
  const models = await loadServedModels([model], createFolderTokenizerFiles(tokenizersFolder));
  // The key of the configuration is nobody's: the one that is used is made here.
  const loaded = loadConfig({ PENSTOCK_API_KEY_HASHES: '0'.repeat(64) });
  const config = { ...loaded, catalog: [model], tokenLog: { ...loaded.tokenLog, batchMs: 20 } };
  const classifier = await loadSafetyClassifier(config.safetyWeightsFile);
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
  const headers = { authorization: `Bearer ${secret}`, 'content-type': 'application/json' };
  return {
    runtime,
    table,
    clock,
    /** A gateway process. */
    createGateway(itsTable: Table) {
      const endpoint = createSageMakerEndpoint({ client: runtime.client });
      const app = createApp({ models, endpoint, table: itsTable, classifier, clock, ids, log: { write() {} } }, config);
      return {
        close: () => endpoint.close(),
        events: async (id: string, after: number) => await app.request(`/v1/generations/${id}/events?starting_after=${after}`, { headers }),
        complete: async (request: AnswerRequest, more: Readonly<Record<string, string>> = {}) =>
          await app.request('/v1/completions', {
            method: 'POST',
            headers: { ...headers, ...more },
            body: JSON.stringify({ model: served.id, stream: true, ...request }),
          }),
      };
    },
  };
}

/**
 * Asks a container for one completion through the whole path, once in peace and then once for each token position at which its stream is broken,
 * and counts the answers that are the same.
 */
export async function breakEverywhere(
  served: ServedModel,
  tokenizersFolder: string,
  containerUrl: string,
  request: AnswerRequest,
): Promise<BreakReport> {
  const { runtime, table, createGateway } = await openPath(served, tokenizersFolder, containerUrl);
  await using _ = runtime;
  const gateway = createGateway(table);
  const ask = async () => readStream(await gateway.complete(request));
  const expected = await ask();
  if (expected.error !== undefined) throw new Error(`the container does not answer: ${expected.error}`);
  const differences: string[] = [];
  for (let after = 0; after < request.max_tokens; after += 1) {
    await runtime.setFaults({ kind: KINDS[after % KINDS.length] ?? 'reset', afterEvents: after, count: 1 });
    const { text, finishReason, error } = await ask();
    if (text === expected.text && finishReason === expected.finishReason && error === undefined) continue;
    differences.push(`after ${after} events: ${error ?? JSON.stringify(text)} instead of ${JSON.stringify(expected.text)}`);
  }
  gateway.close();
  return { same: request.max_tokens - differences.length, differences };
}

/**
 * The same with gateways that are killed: after each event in turn, and another one goes on for the client that comes back. An answer whose client
 * set no seed is compared with one under the seed that the dead gateway had chosen.
 */
export async function killEverywhere(
  served: ServedModel,
  tokenizersFolder: string,
  containerUrl: string,
  request: AnswerRequest,
): Promise<BreakReport> {
  const { runtime, table, clock, createGateway } = await openPath(served, tokenizersFolder, containerUrl);
  await using _ = runtime;
  const differences: string[] = [];
  for (let after = 1; after <= request.max_tokens; after += 1) {
    const life = createMortalTable(table);
    const dying = createGateway(life.table);
    const response = await dying.complete(request, { 'x-penstock-lease': '600' });
    const id = response.headers.get('x-penstock-generation') ?? '';
    let seen = '';
    const reader = response.body?.getReader();
    while ((seen.match(/^id: /gm) ?? []).length < after) {
      const read = await reader?.read();
      if (read?.value === undefined) break;
      seen += Buffer.from(read.value).toString();
    }
    life.kill();
    dying.close();
    clock.ahead += 60_000;
    const other = createGateway(table);
    const bytes = seen + (await (await other.events(id, (seen.match(/^id: /gm) ?? []).length)).text());
    const { text, finishReason, error } = await readStream(new Response(bytes));
    const seed = request.seed ?? chooseSeed(id, 'identical', { temperature: request.temperature, topP: 1 });
    const expected = await readStream(await other.complete({ ...request, ...(seed === undefined ? {} : { seed }) }));
    other.close();
    const isWhole = bytes === (await (await other.events(id, 0)).text());
    if (isWhole && text === expected.text && finishReason === expected.finishReason && error === undefined) continue;
    differences.push(`after ${after} events: ${error ?? JSON.stringify(text)} instead of ${JSON.stringify(expected.text)}`);
  }
  return { same: request.max_tokens - differences.length, differences };
}
