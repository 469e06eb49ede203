/**
 * The gateway as a Lambda Web Function: Lambda starts this server and sends it HTTP/1.1 requests at `AWS_LAMBDA_HTTP_ENDPOINT`, many at once.
 * https://docs.aws.amazon.com/lambda/latest/dg/ (Web Functions)
 */
import { createJsonLog } from '../drivers/json-log.ts';
import { createLambdaServices } from '../drivers/lambda-services.ts';
import { createSecretsManager } from '../drivers/secrets-manager.ts';
import { loadWebFunctionConfig } from './config.ts';
import { withDeadline } from './deadline.ts';
import { runServer } from './run-server.ts';

const log = createJsonLog((line) => process.stdout.write(line));
try {
  await start();
} catch (error) {
  log.write('error', 'start-failed', { reason: error instanceof Error ? error.message : String(error) });
  process.exit(1);
}

async function start(): Promise<void> {
  const config = await loadWebFunctionConfig(createSecretsManager());
  const services = await createLambdaServices(config, log);
  await runServer(services, config, log, (fetch) => withDeadline(fetch, config.deadlineMs));
}
