/**
 * The gateway as a Lambda Web Function: Lambda starts this server and sends it HTTP/1.1 requests at `AWS_LAMBDA_HTTP_ENDPOINT`, many at once.
 * https://docs.aws.amazon.com/lambda/latest/dg/ (Web Functions)
 */
import type { AddressInfo } from 'node:net';
import { drainOnSignal } from '../../layers/network/drain-on-signal.ts';
import { createJsonLog } from '../drivers/json-log.ts';
import { createLambdaServices } from '../drivers/lambda-services.ts';
import { createSecretsManager } from '../drivers/secrets-manager.ts';
import { createApp } from './app.ts';
import { loadWebFunctionConfig } from './config.ts';
import { withDeadline } from './deadline.ts';
import { createHttpServer } from './serve-http.ts';

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
  let draining = false;
  const app = createApp(services, config, () => draining);
  const fetch = withDeadline((request) => app.fetch(request), config.deadlineMs);
  const server = createHttpServer(fetch, services);
  server.on('error', (error: NodeJS.ErrnoException) => {
    log.write('error', 'start-failed', { reason: error.code ?? error.name });
    process.exit(1);
  });
  server.listen(config.port, config.host, () => {
    const { address, port } = server.address() as AddressInfo; // a TCP server's address is an object
    log.write('info', 'listening', { host: address, port });
  });
  drainOnSignal(server, config.drainSeconds, (signal) => {
    draining = true;
    log.write('info', 'draining', { signal });
  });
}
