import { createHash } from 'node:crypto';
import { createFolderEncodings } from '../../functions/drivers/folder-encodings.ts';
import { createFolderTokenizerFiles } from '../../functions/drivers/folder-tokenizer-files.ts';
import { createMemoryTable } from '../../functions/drivers/memory-table.ts';
import { createRandomIds } from '../../functions/drivers/random-ids.ts';
import { loadSafetyClassifier } from '../../functions/drivers/safety-classifier-file.ts';
import { createPolicyFile } from '../../functions/drivers/safety-policy-file.ts';
import { type App, createApp } from '../../functions/gateway/app.ts';
import { type GatewayConfig, loadConfig } from '../../functions/gateway/config.ts';
import { loadServedModels } from '../../functions/gateway/served-models.ts';
import type { Endpoint, Log } from '../../functions/gateway/services.ts';

export const TEST_KEY = 'sk-test-0123456789';

/** The real app with the real tokenizer, in front of the endpoint that a test gives. Log lines are kept. */
export async function createTestGateway(
  endpoint: Endpoint,
  environment: Readonly<Record<string, string>> = {},
  /** As a function by default; `loadServerConfig` for what only a server does. */
  load: (environment: Readonly<Record<string, string>>) => GatewayConfig = loadConfig,
): Promise<{
  app: App;
  logged: { level: string; event: string; fields: object }[];
  post: (path: string, body: unknown) => Promise<Response>;
}> {
  const config = load({ PENSTOCK_API_KEY_HASHES: createHash('sha256').update(TEST_KEY).digest('hex'), ...environment });
  const models = await loadServedModels(config.catalog, createFolderTokenizerFiles(config.tokenizersFolder), config.answerPipelines);
  const logged: { level: string; event: string; fields: object }[] = [];
  const log: Log = { write: (level, event, fields = {}) => logged.push({ level, event, fields }) };
  const clock = { now: Date.now };
  const classifier = await loadSafetyClassifier(config.safetyWeightsFile);
  const app = createApp(
    {
      models,
      endpoint,
      table: createMemoryTable(clock),
      classifier,
      clock,
      ids: createRandomIds(),
      encodings: createFolderEncodings(config.encodingsFolder),
      log,
      policyFile: createPolicyFile(config.safetyPolicyFile, clock, log),
    },
    config,
  );
  const post = async (path: string, body: unknown) =>
    app.request(path, {
      method: 'POST',
      headers: { authorization: `Bearer ${TEST_KEY}`, 'content-type': 'application/json' },
      body: typeof body === 'string' ? body : JSON.stringify(body),
    });
  return { app, logged, post };
}

/** The JSON of each `data:` line; `[DONE]` as itself. */
export async function readEvents(response: Response): Promise<unknown[]> {
  const lines = (await response.text()).split('\n').filter((line) => line.startsWith('data: '));
  return lines.map((line) => (line === 'data: [DONE]' ? '[DONE]' : JSON.parse(line.slice(6))));
}
