/**
 * The gateway as a Lambda Web Function: Lambda starts this server and sends it HTTP/1.1 requests at `AWS_LAMBDA_HTTP_ENDPOINT`, many at once.
 * https://docs.aws.amazon.com/lambda/latest/dg/ (Web Functions)
 */
import type { Server } from 'node:http';
import { serve } from '@hono/node-server';
import { drainOnSignal } from '../../layers/network/drain-on-signal.ts';
import { createJsonLog } from '../drivers/json-log.ts';
import { createLambdaServices } from '../drivers/lambda-services.ts';
import { createSecretsManager } from '../drivers/secrets-manager.ts';
import { createApp } from './app.ts';
import { loadWebFunctionConfig } from './config.ts';
import { withDeadline } from './deadline.ts';
import { sendAtOnce } from './send-at-once.ts';

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
  const server = serve({ fetch: sendAtOnce(fetch), hostname: config.host, port: config.port }, ({ address, port }) => {
    log.write('info', 'listening', { host: address, port });
  });
  server.on('error', (error: NodeJS.ErrnoException) => {
    log.write('error', 'start-failed', { reason: error.code ?? error.name });
    process.exit(1);
  });
  // An HTTP/1.1 server: hono's adapter types it as HTTP/2's too, which this entry never asks for.
  drainOnSignal(server as Server, config.drainSeconds, (signal) => {
    draining = true;
    log.write('info', 'draining', { signal });
  });
}
