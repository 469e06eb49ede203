/** A gateway process of its own in front of a toy model, to see what it takes of memory: it tells its port, and its peak whenever it is asked. */
import type { AddressInfo } from 'node:net';
import { createRandomIds } from '../../functions/drivers/random-ids.ts';
import { createHttpServer } from '../../functions/gateway/serve-http.ts';
import { createGenerationApp } from './generation-gateway.ts';
import { ToyEndpoint } from './toy-endpoint.ts';

const { app } = await createGenerationApp(new ToyEndpoint(), { config: { maxBodyBytes: 4 * 2 ** 20 } });
const server = createHttpServer((request) => app.fetch(request), { ids: createRandomIds() });
server.listen(0, '127.0.0.1', () => process.send?.((server.address() as AddressInfo).port)); // a TCP server's address is an object
process.on('message', () => process.send?.(process.resourceUsage().maxRSS * 1024));
process.on('disconnect', () => process.exit());
