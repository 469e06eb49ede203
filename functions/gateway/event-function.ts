/** The gateway behind a Lambda Function URL whose invoke mode is RESPONSE_STREAM. Runs in Lambda's Node runtime only. */
import { createFolderTokenizerFiles } from '../drivers/folder-tokenizer-files.ts';
import { createJsonLog } from '../drivers/json-log.ts';
import { createRandomIds } from '../drivers/random-ids.ts';
import { createSageMakerEndpoint } from '../drivers/sagemaker-endpoint.ts';
import { createSecretsManager } from '../drivers/secrets-manager.ts';
import { createApp } from './app.ts';
import { loadConfigWithSecrets } from './config.ts';
import { createFunctionUrlHandler, type LambdaStreaming } from './function-url.ts';
import { loadServedModels } from './served-models.ts';

declare const awslambda: LambdaStreaming;

const config = await loadConfigWithSecrets(createSecretsManager());
const models = await loadServedModels(config.catalog, createFolderTokenizerFiles(config.tokenizersFolder));
const log = createJsonLog((line) => process.stdout.write(line));
const services = { models, endpoint: createSageMakerEndpoint(), clock: { now: Date.now }, ids: createRandomIds(), log };
const app = createApp(services, config);

export const handler = createFunctionUrlHandler(awslambda, (request) => app.fetch(request), log);
