/** The gateway behind a Lambda Function URL whose invoke mode is RESPONSE_STREAM. Runs in Lambda's Node runtime only. */
import { createDynamoDbTable } from '../drivers/dynamodb-table.ts';
import { createFolderEncodings } from '../drivers/folder-encodings.ts';
import { createFolderTokenizerFiles } from '../drivers/folder-tokenizer-files.ts';
import { createJsonLog } from '../drivers/json-log.ts';
import { createMemoryTable } from '../drivers/memory-table.ts';
import { createRandomIds } from '../drivers/random-ids.ts';
import { loadSafetyClassifier } from '../drivers/safety-classifier-file.ts';
import { createSageMakerEndpoint } from '../drivers/sagemaker-endpoint.ts';
import { createSecretsManager } from '../drivers/secrets-manager.ts';
import { createApp } from './app.ts';
import { loadConfigWithSecrets } from './config.ts';
import { createFunctionUrlHandler, type LambdaStreaming } from './function-url.ts';
import { loadServedModels } from './served-models.ts';

declare const awslambda: LambdaStreaming;

const config = await loadConfigWithSecrets(createSecretsManager());
const models = await loadServedModels(config.catalog, createFolderTokenizerFiles(config.tokenizersFolder), config.answerPipelines);
const log = createJsonLog((line) => process.stdout.write(line));
const clock = { now: Date.now };
// Without a table, keys of the configuration work and nothing outlives the function.
const table = config.store.kind === 'dynamodb' ? createDynamoDbTable(config.store.tableName, clock) : createMemoryTable(clock);
const services = {
  models,
  endpoint: createSageMakerEndpoint(),
  table,
  clock,
  ids: createRandomIds(),
  encodings: createFolderEncodings(config.encodingsFolder),
  log,
  classifier: await loadSafetyClassifier(config.safetyWeightsFile),
};
const app = createApp(services, config);

export const handler = createFunctionUrlHandler(awslambda, (request) => app.fetch(request), log);
