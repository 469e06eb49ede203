/** The gateway behind a Lambda Function URL whose invoke mode is RESPONSE_STREAM. Runs in Lambda's Node runtime only. */
import { createJsonLog } from '../drivers/json-log.ts';
import { createLambdaServices } from '../drivers/lambda-services.ts';
import { createSecretsManager } from '../drivers/secrets-manager.ts';
import { createApp } from './app.ts';
import { loadConfigWithSecrets } from './config.ts';
import { createFunctionUrlHandler, type LambdaStreaming } from './function-url.ts';

declare const awslambda: LambdaStreaming;

const config = await loadConfigWithSecrets(createSecretsManager());
const log = createJsonLog((line) => process.stdout.write(line));
const services = await createLambdaServices(config, log);
const app = createApp(services, config);

export const handler = createFunctionUrlHandler(awslambda, (request) => app.fetch(request), log);
