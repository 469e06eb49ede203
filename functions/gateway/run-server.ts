import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { drainOnSignal } from '../../layers/network/drain-on-signal.ts';
import { createApp } from './app.ts';
import type { GatewayConfig, ServerConfig } from './config.ts';
import type { FetchHandler } from './function-url.ts';
import { createHttpServer } from './serve-http.ts';
import type { Log, Services } from './services.ts';

/**
 * Serves the gateway at its address until a signal stops the process; says in `log` when it listens and when it drains. `around` is laid around the
 * app.
 * @throws what Node does when the address cannot be listened at, such as `EADDRINUSE`.
 */
export async function runServer(
  services: Services,
  config: GatewayConfig & Pick<ServerConfig, 'host' | 'port' | 'drainSeconds'>,
  log: Log,
  around: (fetch: FetchHandler) => FetchHandler = (fetch) => fetch,
): Promise<void> {
  let draining = false;
  const app = createApp(services, config, () => draining);
  const server = createHttpServer(
    around((request) => app.fetch(request)),
    services,
  );
  server.listen(config.port, config.host);
  drainOnSignal(server, config.drainSeconds, (signal) => {
    draining = true;
    log.write('info', 'draining', { signal });
  });
  await once(server, 'listening');
  const { address, port } = server.address() as AddressInfo; // a TCP server's address is an object
  log.write('info', 'listening', { host: address, port });
}
